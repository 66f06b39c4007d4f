// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/base/mutex.h"
#include "vmm/pci/config_space.h"
#include "vmm/pci/function.h"

namespace vmm::pci {
namespace {

class HostBridge final : public Function {
 public:
  Result<void> attach(const Attachment&) override { return {}; }
  void detach() override {}
  void read_config(std::uint16_t offset, std::span<std::byte> data) override {
    const MutexLock lock(mutex_);
    config_.read(offset, data);
  }
  void write_config(std::uint16_t offset, std::span<const std::byte> data) override {
    const MutexLock lock(mutex_);
    config_.write(offset, data);
  }
  void retry_bars() override {}

 private:
  static constexpr Header kHeader{.vendor = 0x8086, .device = 0x0d57, .class_code = 0x06'00'00};

  Mutex mutex_;
  ConfigSpace config_ VMM_GUARDED_BY(mutex_){kHeader, ConfigSpace::Kind::kConventional};
};

}  // namespace

std::shared_ptr<Function> make_host_bridge() { return std::make_shared<HostBridge>(); }

}  // namespace vmm::pci
