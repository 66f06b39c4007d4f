// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "guest_panic.h"

#include "vmm/base/log.h"
#include "vmm/pvpanic/pvpanic.h"

namespace vmm::reference {

Outcome<void> add_pvpanic(const VmConfig& config, const Host& host, PciBoard& board) {
  if (!config.pvpanic) return {};
  const auto tell = [tell = host.on_guest_panic](pvpanic::Event event) {
    const char* const name = event == pvpanic::Event::kPanicked ? "panic" : "crash_loaded";
    VMM_LOG_GUEST(kWarn, "the guest tells of its end: %s", name);
    tell(name);
  };
  VMM_STEP("--pvpanic", auto device, pvpanic::Pvpanic::create(tell));
  DeviceConfig place;
  place.id = "__pvpanic";
  VMM_TRY_DO(board.add("--pvpanic", place, {.function = std::move(device), .stays = true}));
  return {};
}

}  // namespace vmm::reference
