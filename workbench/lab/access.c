// A QEMU plugin that marks each page of guest RAM that the guest reads or writes.
//
// Arguments: map=FILE, as made by workbench/capture/access.py.  The file is a header of one page
// and two maps of one byte per page of guest RAM: 0 not accessed, 1 read, 2 written.  The header
// begins with the number of the interval (64 bits): marks go to the first map while it is even, to
// the second while it is odd.  Whoever reads the maps raises it, and clears the map it has read.
//
// What it sees are the loads and stores of the guest's processors.  Not seen: fetches of
// instructions, walks of the guest's page tables, and what devices read and write.
//
// Declared here, for QEMU installs no header: QEMU 7.2 include/qemu/qemu-plugin.h, API version 1.
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

#define PAGE_SHIFT 12
#define HEADER_BYTES 4096

enum { NOT_ACCESSED, READ, WRITTEN };

// QEMU_PLUGIN_CB_NO_REGS: the callback looks at no register of the guest.
enum { NO_REGISTERS = 0 };
// QEMU_PLUGIN_MEM_RW: loads and stores.
enum { LOADS_AND_STORES = 3 };

typedef uint64_t plugin_id;
typedef uint32_t memory_info;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_hwaddr;
typedef void (*translated_callback)(plugin_id id, struct qemu_plugin_tb *block);
typedef void (*memory_callback)(unsigned int vcpu, memory_info info, uint64_t address, void *data);

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, translated_callback callback);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *instruction,
                                      memory_callback callback, int flags, int accesses,
                                      void *data);
struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(memory_info info, uint64_t address);
bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *place);
uint64_t qemu_plugin_hwaddr_phys_addr(const struct qemu_plugin_hwaddr *place);
bool qemu_plugin_mem_is_store(memory_info info);

EXPORTED int qemu_plugin_version = 1;

// Where pages of the kernel's addresses are in guest RAM, as found in this interval: finding it
// anew at every access makes a guest half as fast again.  The kernel (bit 63 of its addresses is
// set) hardly ever maps other memory at an address within an interval; for the addresses of
// processes every switch does.
#define KNOWN_PAGES 4096
static __thread struct {
    uint64_t address_page;
    uint64_t interval;
    uint8_t *mark;
} known[KNOWN_PAGES];

static volatile uint64_t *current_interval;
static uint8_t *maps;
static uint64_t page_count;

static void mark_page(uint8_t *mark, memory_info info) {
    uint8_t access = qemu_plugin_mem_is_store(info) ? WRITTEN : READ;
    if (*mark < access)  // Most pages are marked already, and reading is cheap.
        *mark = access;
}

static void note_access(unsigned int vcpu, memory_info info, uint64_t address, void *data) {
    uint64_t interval = *current_interval;
    uint64_t address_page = address >> PAGE_SHIFT;
    uint64_t slot = address_page % KNOWN_PAGES;
    if (known[slot].address_page == address_page && known[slot].interval == interval) {
        mark_page(known[slot].mark, info);
        return;
    }
    struct qemu_plugin_hwaddr *place = qemu_plugin_get_hwaddr(info, address);
    if (!place || qemu_plugin_hwaddr_is_io(place))
        return;
    // Of a machine with one block of RAM, this is the offset in it; firmware lies behind it.
    uint64_t page = qemu_plugin_hwaddr_phys_addr(place) >> PAGE_SHIFT;
    if (page >= page_count)
        return;
    uint8_t *mark = maps + (interval % 2) * page_count + page;
    mark_page(mark, info);
    if (address >> 63) {
        known[slot].address_page = address_page;
        known[slot].interval = interval;
        known[slot].mark = mark;
    }
}

static void watch_block(plugin_id id, struct qemu_plugin_tb *block) {
    size_t count = qemu_plugin_tb_n_insns(block);
    for (size_t index = 0; index < count; index++)
        qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(block, index), note_access,
                                         NO_REGISTERS, LOADS_AND_STORES, NULL);
}

EXPORTED int qemu_plugin_install(plugin_id id, const void *info, int count, char **arguments) {
    if (count != 1 || strncmp(arguments[0], "map=", 4)) {
        fprintf(stderr, "the plugin for accesses takes one argument, map=FILE\n");
        return -1;
    }
    struct stat status;
    int file = open(arguments[0] + 4, O_RDWR);
    if (file < 0 || fstat(file, &status)) {
        perror(arguments[0]);
        return -1;
    }
    uint8_t *header = mmap(NULL, status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (header == MAP_FAILED) {
        perror(arguments[0]);
        return -1;
    }
    current_interval = (uint64_t *)header;
    maps = header + HEADER_BYTES;
    page_count = (status.st_size - HEADER_BYTES) / 2;
    qemu_plugin_register_vcpu_tb_trans_cb(id, watch_block);
    return 0;
}
