import pytest

from workbench.errors import HostError
from workbench.lab.kernel import newest_kernel, package_from_depends, require_tools


def test_the_package_is_what_the_meta_package_depends_on():
    text = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n"
    assert package_from_depends(text) == "linux-image-6.1.0-56-cloud-amd64"


@pytest.mark.parametrize("text", ["", "linux-image-cloud-amd64\n  Depends: linux-base\n"])
def test_no_package_is_found_where_none_is_named(text):
    assert package_from_depends(text) is None


def test_the_newest_kernel_of_the_cache_is_taken(tmp_path):
    for release in ("6.1.0-9-cloud-amd64", "6.1.0-56-cloud-amd64", "5.10.0-99-cloud-amd64"):
        (tmp_path / release).mkdir()
        (tmp_path / release / "vmlinuz").touch()
    (tmp_path / "unpacking-7.0").mkdir()

    found = newest_kernel(tmp_path)

    assert found is not None
    assert found.release == "6.1.0-56-cloud-amd64"


def test_an_empty_cache_has_no_kernel(tmp_path):
    assert newest_kernel(tmp_path) is None


def test_missing_tools_are_answered_with_one_line_for_apt():
    with pytest.raises(HostError) as caught:
        require_tools({"sh": "dash", "no-such-b": "package-b", "no-such-a": "package-a"})
    assert str(caught.value).endswith("apt-get install -y package-a package-b")


def test_tools_that_are_there_are_no_problem():
    require_tools({"sh": "dash"})
