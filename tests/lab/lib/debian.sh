# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=bash disable=SC2154  # cache, kit, arch and lab_dir come from common.sh
# The disk image of a stock Debian guest, and the initramfs that boots from it.
#
# In two stages, as debootstrap does it for foreign machines: the packages are downloaded and the
# essential ones unpacked; then dpkg installs all of them with their own scripts, in a chroot where
# root can have one; emulated.sh gives it one for other architectures. Everywhere else it does so in
# L1, on the disk image: that is slower, and needs neither root nor namespaces.

# A 1 GiB file system takes about 450 MB.
debian_size=1G

# The essential packages, with the one that says that /bin is /usr/bin: otherwise apt takes another
# one that makes it so, with all of Perl.
debian_essential=('?essential' usr-is-merged)

debian_packages() { sed '/^#/d' "$lab_dir/debian/packages"; }

# download_debs FOLDER PACKAGE...: these and all that they depend on, as files in the folder.
download_debs() {
  local into=$1
  shift
  mkdir -p "$into/partial"
  apt-get "${apt_options[@]}" -o "APT::Architecture=$(debian_arch "$arch")" \
    -o "APT::Architectures=$(debian_arch "$arch")" -o Dir::State::status=/dev/null \
    -o "Dir::Cache::archives=$into" -o Debug::NoLocking=1 -q -y -d --no-install-recommends \
    install "$@" >"$into.log" 2>&1
}

# unpacked_deb FROM TO: the package as L1 gets it, without compression: that costs less here.
unpacked_deb() {
  local member work=$2.parts
  if [[ -n ${chroot_with[*]} ]]; then
    cp --reflink=auto "$1" "$2"
    return
  fi
  mkdir "$work"
  (cd "$work" && ar x "$1")
  for member in "$work"/*.tar.*; do
    case $member in
      *.xz) xz -d "$member" ;;
      *.gz) gzip -d "$member" ;;
      *.zst) zstd -q -d --rm "$member" ;;
    esac
  done
  ar rcS "$2" "$work/debian-binary" "$work/control.tar" "$work/data.tar"
  rm -rf "$work"
}

# debian_tree WORK: the first stage, in WORK/tree.
debian_tree() {
  local deb group
  say 'downloading the Debian guest'
  download_debs "$1/essential" "${debian_essential[@]}" || {
    refresh_lists
    download_debs "$1/essential" "${debian_essential[@]}" || die "download failed: $(tail -n 1 "$1/essential.log")"
  }
  cp -r --reflink=auto "$1/essential" "$1/others"
  # shellcheck disable=SC2046  # a list of words
  download_debs "$1/others" "${debian_essential[@]}" $(debian_packages) ||
    die "download failed: $(tail -n 1 "$1/others.log")"
  say 'making the Debian guest'
  mkdir -p "$1"/tree/usr/{bin,sbin,lib,lib64}
  (cd "$1/tree" && ln -s usr/{bin,sbin,lib,lib64} .)
  for deb in "$1"/essential/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$1/tree"
  done
  mkdir -p "$1/tree/debs/essential" "$1/tree/debs/others"
  for deb in "$1"/others/*.deb; do
    group=others
    if [[ -e $1/essential/${deb##*/} ]]; then group=essential; fi
    unpacked_deb "$deb" "$1/tree/debs/$group/${deb##*/}"
  done
  mkdir -p "$1/tree/lib/modules"
  cp -r --reflink=auto "$kit/linux/modules/." "$1/tree/lib/modules/"
}

# find_chroot: sets chroot_with to what runs a command where the packages' scripts can run in a
# chroot; to nothing when this machine has no such place.
find_chroot() {
  chroot_with=()
  local with=("$lab_dir/debian/emulated.sh" "$arch")
  if [[ $arch == "$(uname -m)" ]]; then with=(unshare --mount --pid --fork --kill-child); fi
  if [[ $EUID -eq 0 ]] && "${with[@]}" true 2>/dev/null; then chroot_with=("${with[@]}"); fi
}

make_image() { mke2fs -q -t ext4 -d "$1/tree" -L debian "$1/image" "$debian_size" >/dev/null; }

build_debian() {
  local work=$1 chroot_with
  apt_for "$arch"
  find_chroot
  debian_tree "$work"
  if [[ -n ${chroot_with[*]} ]]; then
    "${chroot_with[@]}" sh "$lab_dir/debian/install.sh" "$work/tree" >"$kit/debian.log" 2>&1 ||
      die "dpkg failed: see $kit/debian.log"
    make_image "$work"
  else
    make_image "$work"
    "$lab_dir/lab" --arch "$arch" run --timeout 3000 --write-disk "disk=$work/image" \
      --script "$lab_dir/debian/install.sh" >"$kit/debian.log" 2>&1 ||
      die "dpkg in L1 failed: see $kit/debian.log"
  fi
}

# debian_image: prints the path of the disk image, which is made first when its sources changed.
debian_image() {
  local file
  need apt-get ar dpkg flock mke2fs xz zstd
  file=$kit/debian-$(key_of "$lab_dir"/debian/{packages,install.sh} "${BASH_SOURCE[0]}").img
  if [[ ! -e $file ]]; then
    (
      flock 9
      [[ ! -e $file ]] || exit 0
      work=$(mktemp -d "$kit/debian.XXXXXX")
      trap 'rm -rf "$work"' EXIT
      build_debian "$work"
      rm -f "$kit"/debian-*.img
      mv "$work/image" "$file"
    ) 9>"$kit/debian.lock" || exit
  fi
  echo "$file"
}

build_debian_initramfs() {
  skeleton "$1"
  ln -s ../bin/busybox "$1/sbin/modprobe"
  modules_tree "$1" virtio_mmio virtio_pci virtio_blk ext4 crc32c_generic
  install -m 755 "$lab_dir/debian/init" "$1/init"
}

debian_initramfs_image() { cached debian-initramfs "$lab_dir/debian/init" build_debian_initramfs; }
