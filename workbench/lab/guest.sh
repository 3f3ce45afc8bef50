# What a guest of the lab can do.  The lab puts its settings before these lines, and the steps of a
# scenario after them, and packs all of it as the guest's /init.
#
# The guest talks on its second serial port; the first is left to the kernel's own messages, which
# would otherwise break into lines.  It says, each on a line of its own:
#   FACT name value            what it found out about itself
#   READY uptime               it is about to begin with step 1
#   MARK step uptime begin|end text
#   BUDDY uptime n0 ... n10    free blocks of each order, over all zones
#   WAIT uptime                it goes on when it is sent a line
#   DONE uptime                the last step has ended
#   QUIET uptime               it is asleep for good
#   FAIL what                  something did not work; nothing follows
#
# Waiting and sampling use only what is built into the shell: a child process takes and frees
# memory, and would show up in the very thing that is measured.

/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /memory /disk
mount -t tmpfs -o size=100% memory /memory
exec </dev/null >/dev/ttyS1 2>/errors
mkfifo /never
exec 3<>/never

now() { read -r uptime rest </proc/uptime; }
pause() { read -r -t "$1" nothing <&3; }
fail() { read -r why </errors; echo "FAIL $* ($why)"; pause 1000000; }

# The content of a file, $1 bytes of fill $2.  A MiB of random data (or text) comes with the guest;
# a file is that MiB again and again, each time after 7 more bytes.  So every page of 4 KiB differs
# from every other, none compresses better than random data does, and the emulated guest does not
# spend its time making random numbers, at which it is ten times slower than at copying.
content() {
    if [ "$2" = zero ]; then
        dd if=/dev/zero bs=4k count=$(($1 / 4096)) 2>/errors
        return
    fi
    left=$1
    while [ "$left" -ge 1048583 ]; do
        serial=$((serial + 1))
        printf '%07d' "$serial"
        cat "/fill.$2"
        left=$((left - 1048583))
    done
    [ "$left" -lt 7 ] && { printf '%.*s' "$left" 0000000; return; }
    serial=$((serial + 1))
    printf '%07d' "$serial"
    [ "$left" = 7 ] || dd if="/fill.$2" bs=$((left - 7)) count=1 2>/errors
}
serial=0

take() { content "$2" "$3" >"/memory/$1" || fail "take $1"; }
# Copied into a buffer: `cat` to /dev/null would hand over the pages without ever reading them.
touch_again() { dd if="/memory/$1" of=/dev/null bs=64k 2>/errors || fail "touch $1"; }
rewrite() { content "$(stat -c %s "/memory/$1")" "$2" 1<>"/memory/$1" || fail "rewrite $1"; }
release() { rm -r "/memory/$1" || fail "free $1"; }
scatter() {
    mkdir "/memory/$1"
    number=0
    while [ $number -lt "$2" ]; do
        content "$3" "$4" >"/memory/$1/$number" || fail "scatter $1"
        number=$((number + 1))
    done
}
thin() {
    number=0
    for file in "/memory/$1"/*; do
        number=$((number + 1))
        [ $((number % 2)) = 0 ] && thinned="$thinned $file"
    done
    rm $thinned || fail "thin $1"
    thinned=
}
save() { { content "$2" "$3" >"/disk/$1" && sync; } || fail "save $1"; }
load() { dd if="/disk/$1" of=/dev/null bs=64k 2>/errors || fail "load $1"; }
delete() { rm "/disk/$1" || fail "delete $1"; }
drop_caches() { echo 3 >/proc/sys/vm/drop_caches || fail drop-caches; }

step() {
    number_of_step=$1 text_of_step=$2
    shift 2
    now; echo "MARK $number_of_step $uptime begin $text_of_step"
    "$@"
    now; echo "MARK $number_of_step $uptime end $text_of_step"
    [ "$number_of_step" = "$WAIT_AFTER" ] || return
    now; echo "WAIT $uptime"
    read -r go </dev/ttyS1
}

sample() {
    while :; do
        now
        b0=0 b1=0 b2=0 b3=0 b4=0 b5=0 b6=0 b7=0 b8=0 b9=0 b10=0
        while read -r n i z name c0 c1 c2 c3 c4 c5 c6 c7 c8 c9 c10; do
            b0=$((b0 + c0)) b1=$((b1 + c1)) b2=$((b2 + c2)) b3=$((b3 + c3)) b4=$((b4 + c4))
            b5=$((b5 + c5)) b6=$((b6 + c6)) b7=$((b7 + c7)) b8=$((b8 + c8)) b9=$((b9 + c9))
            b10=$((b10 + c10))
        done </proc/buddyinfo
        echo "BUDDY $uptime $b0 $b1 $b2 $b3 $b4 $b5 $b6 $b7 $b8 $b9 $b10"
        pause "$SAMPLE_SECONDS"
    done
}

# poison_val is byte 12 of the device's config space, which this device keeps 0x2000 into its
# fifth region (the PCI base address register 4).
write_poison() {
    for device in /sys/bus/pci/devices/*; do
        read -r id <"$device/device"
        [ "$id" = 0x1002 ] || continue
        { read -r a; read -r a; read -r a; read -r a; read -r start rest; } <"$device/resource"
        devmem $((start + 0x2000 + 12)) 32 "$1" || fail "writing poison_val"
        echo "FACT poison_val $(devmem $((start + 0x2000 + 12)) 32)"
        return
    done
    fail "no balloon device"
}

get_ready() {
    for module in $MODULES; do
        insmod "/modules/$module.ko" || fail "insmod $module"
    done
    if [ -n "$REPORTING_ORDER" ]; then
        echo "$REPORTING_ORDER" >/sys/module/page_reporting/parameters/page_reporting_order ||
            fail "writing page_reporting_order"
    fi
    [ -n "$POISON_VAL" ] && write_poison "$POISON_VAL"
    if [ -n "$DISK" ]; then
        { mke2fs -F "$DISK" >/dev/null && mount -t ext4 "$DISK" /disk; } || fail "mounting a disk"
    fi
    read -r a b kernel rest </proc/version
    echo "FACT kernel $kernel"
    read -r order </sys/module/page_reporting/parameters/page_reporting_order
    echo "FACT reporting_order $order"
    sample &
    sampler=$!
    now; echo "READY $uptime"
}

# Stopped, not ended: the sampler's memory would be freed, and at small reporting orders reported.
settle() {
    now; echo "DONE $uptime"
    pause "$1"
    kill -STOP $sampler
    now; echo "QUIET $uptime"
    pause 1000000
}

