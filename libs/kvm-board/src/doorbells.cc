// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/kvm_board/doorbells.h"

#include <cerrno>

#include "vmm/base/log.h"

namespace vmm::kvm_board {
namespace {

using kvm_ioctls::IoEventMatch;

Result<kvm_ioctls::IoEvent> to_kvm(const vm_device::Doorbell& doorbell) {
  IoEventMatch match = IoEventMatch::any();
  if (doorbell.bytes != 0 && !doorbell.value) match = IoEventMatch::any_of_size(doorbell.bytes);
  if (doorbell.bytes != 0 && doorbell.value) {
    const std::uint64_t value = *doorbell.value;
    switch (doorbell.bytes) {
      case 1:
        match = IoEventMatch::value(static_cast<std::uint8_t>(value));
        break;
      case 2:
        match = IoEventMatch::value(static_cast<std::uint16_t>(value));
        break;
      case 4:
        match = IoEventMatch::value(static_cast<std::uint32_t>(value));
        break;
      case 8:
        match = IoEventMatch::value(value);
        break;
      default:
        return fail(Error::os(EINVAL, "add a doorbell"));
    }
  }
  return kvm_ioctls::IoEvent{.space = kvm_ioctls::IoEvent::Space::kMmio,
                             .address = doorbell.address.raw(),
                             .match = match};
}

}  // namespace

Result<void> KvmDoorbells::add(const vm_device::Doorbell& doorbell) {
  VMM_TRY(const auto event, to_kvm(doorbell));
  return vm_.register_ioevent(doorbell.fd, event);
}

void KvmDoorbells::remove(const vm_device::Doorbell& doorbell) {
  const auto event = to_kvm(doorbell);
  if (!event) return;
  if (const auto done = vm_.unregister_ioevent(doorbell.fd, *event); !done) {
    VMM_LOG(kWarn, "doorbell at %#llx: %s", static_cast<unsigned long long>(doorbell.address.raw()),
            to_string(done.error()).c_str());
  }
}

}  // namespace vmm::kvm_board
