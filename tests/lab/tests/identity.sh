# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest-virtio.cpio vsock-peer
. ./lib.sh

# shellcheck disable=SC2034 # for lib.sh
guest_files=vsock-peer
cat >script <<'END'
for file in sys_vendor product_name product_version product_serial product_uuid product_sku \
  product_family chassis_vendor chassis_asset_tag bios_vendor; do
  echo "dmi: $file=$(cat /sys/class/dmi/id/$file)"
done
raw=/sys/firmware/dmi/entries/11-0/raw
[ -e $raw ] || { echo 'dmi: no OEM strings'; exit; }
tail -c +6 $raw | tr '\0' '\n' >/strings
sed 's/^/oem: /' /strings
# What systemd does with a credential, once it is up.
notify=$(sed -n 's/^io.systemd.credential:vmm.notify_socket=vsock-stream://p' /strings)
if [ -n "$notify" ]; then printf 'READY=1\n' | /vsock-peer cat "vsock:$notify"; fi
END

dmi() { says "^dmi: $1=$2" 1 0; }
oem() { says "^oem: $1" 1 0; }

if [ "$arch" = aarch64 ]; then
  guest_with_script 'modules=virtio_pci' --platform 'oem_strings=[a],uuid=00112233-4455-6677-8899-aabbccddeeff'
  boots 'identity: a guest without SMBIOS tables boots'
  check 'identity: the VMM says that there are none' grep -q 'aarch64 guests get no SMBIOS' vmm.err
  check 'identity: the guest has no OEM strings' says '^dmi: no OEM strings' 1 0
  exit
fi

vsock-peer drain unix:notify.vsock_8888 >ready 2>listening &
peer=$!
until grep -q '^listening' listening; do sleep 0.1; done
guest_with_script 'modules=virtio_pci,vmw_vsock_virtio_transport' --vsock cid=3,socket=notify.vsock \
  --platform 'oem_strings=[io.systemd.credential:vmm.notify_socket=vsock-stream:2:8888,"a=b;c=d","x, y"],system_manufacturer=Maker,system_product_name=Product,system_version=v2,serial_number=SN-1,uuid=00112233-4455-6677-8899-aabbccddeeff,system_sku_number=SKU,system_family=Family,chassis_asset_tag=Tag'
boots 'identity: the guest boots'
check 'identity: manufacturer' dmi sys_vendor Maker
check 'identity: product' dmi product_name Product
check 'identity: version' dmi product_version v2
check 'identity: serial number' dmi product_serial SN-1
check 'identity: UUID' dmi product_uuid 00112233-4455-6677-8899-aabbccddeeff
check 'identity: SKU number' dmi product_sku SKU
check 'identity: family' dmi product_family Family
check "identity: the chassis' manufacturer" dmi chassis_vendor Maker
check 'identity: asset tag' dmi chassis_asset_tag Tag
check 'identity: a credential' oem 'io.systemd.credential:vmm.notify_socket=vsock-stream:2:8888'
check 'identity: a string with signs of the grammar' oem 'a=b;c=d'
check 'identity: a string with a comma' oem 'x, y'
wait $peer
check 'identity: by that credential the guest tells its host that it is up' grep -qx 'READY=1' ready

guest_with_script 'modules=virtio_pci' --platform ''
boots 'identity: a guest without --platform keys boots'
check 'identity: our own name' dmi product_name vmm-reference
check 'identity: no UUID' dmi product_uuid '.\?$'
check 'identity: no OEM strings' says '^dmi: no OEM strings' 1 0
