// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/pci/intx.h"

#include <utility>

#include "vmm/base/assert.h"
#include "vmm/base/mutex.h"

namespace vmm::pci {

class IntxLines::Shared {
 public:
  explicit Shared(vm_device::IrqLine& line) : line_(line) {}

  void change(bool asserted) {
    const MutexLock lock(mutex_);
    asserted_ += asserted ? std::size_t{1} : ~std::size_t{0};
    // In the lock, so that the line's last state is that of the last change.
    line_.set(asserted_ != 0);
  }

 private:
  vm_device::IrqLine& line_;
  Mutex mutex_;
  std::size_t asserted_ VMM_GUARDED_BY(mutex_) = 0;  // inputs
};

class IntxLines::Input final : public vm_device::IrqLine {
 public:
  explicit Input(std::shared_ptr<Shared> line) : line_(std::move(line)) {}
  ~Input() override { set(false); }

  void set(bool asserted) override {
    const MutexLock lock(mutex_);
    if (asserted == asserted_) return;
    asserted_ = asserted;
    line_->change(asserted);
  }

 private:
  const std::shared_ptr<Shared> line_;
  Mutex mutex_;
  bool asserted_ VMM_GUARDED_BY(mutex_) = false;
};

IntxLines::IntxLines(std::vector<vm_device::IrqLine*> lines) {
  VMM_ASSERT_ALWAYS(!lines.empty());
  for (vm_device::IrqLine* const line : lines) lines_.push_back(std::make_shared<Shared>(*line));
}

std::shared_ptr<vm_device::IrqLine> IntxLines::input(Pin pin) {
  return std::make_shared<Input>(lines_[line_of(pin)]);
}

}  // namespace vmm::pci
