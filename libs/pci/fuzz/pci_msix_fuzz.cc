// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Scripts of accesses to an MSI-X table, and events, beside a model of what 6.8.2 of PCI 3.0 says:
// each event is sent with the message of that moment or is pending, never both, never lost.

#include <array>
#include <map>

#include "fuzz_input.h"
#include "vmm/base/endian.h"
#include "vmm/pci/msix.h"
#include "vmm/vm_device/testing/platform.h"

namespace {

using namespace vmm;
using namespace vmm::pci;

class Script {
 public:
  Script(Input input, std::uint16_t count)
      : input_(input),
        count_(count),
        msix_(*Msix::create(*source_.create_vectors(count), count)),
        pending_(count) {}

  void run() {
    for (int step = 0; step < 256 && !input_.empty(); ++step) {
      one();
      check();
    }
    const MsixState saved = msix_->state();
    Script other(Input(nullptr, 0), count_);
    require(other.msix_->restore(saved).has_value());
    require(other.msix_->state().control == saved.control);
    msix_->reset();
    require(source_.routes() == 0 && msix_->state().control == 0);
  }

 private:
  void one() {
    const std::uint8_t kind = input_.byte();
    const std::size_t width = 1 + kind % 8;
    const auto raw = input_.take<std::uint32_t>();
    const std::uint64_t offset = (kind & 0x10) != 0 ? raw : raw % (count_ * 16u + 32u);
    std::array<std::byte, 8> data{};
    const auto access = std::span(data).first(width);
    source_.forget_sent();
    if (kind < 0x40) {
      const auto vector = static_cast<std::uint16_t>(raw);
      event(vector);
    } else if (kind < 0x60) {
      msix_->set_control(static_cast<std::uint16_t>(raw));
      flush();
    } else if (kind < 0x80) {
      msix_->read_table(offset, access);
      msix_->read_pending(offset, access);
    } else {
      std::ranges::copy(input_.bytes(width), data.begin());
      msix_->write_table(offset, access);
      flush();
    }
  }
  [[nodiscard]] bool open(const MsixState& state, std::uint16_t vector) const {
    return (state.control & (Msix::kEnable | Msix::kFunctionMask)) == Msix::kEnable &&
           (state.entries[vector].control & 1) == 0;
  }
  void event(std::uint16_t vector) {
    msix_->trigger(vector);
    if (vector >= count_) return require(source_.sent().empty());
    const MsixState state = msix_->state();
    if (!open(state, vector)) {
      pending_[vector] = true;
      return require(source_.sent().empty());
    }
    require(source_.sent().size() == 1);
    require(source_.sent()[0] == vm_device::MsiMessage{.address = state.entries[vector].address,
                                                       .data = state.entries[vector].data});
  }
  // After a change, all that waited and is open now has been sent once.
  void flush() {
    const MsixState state = msix_->state();
    std::size_t due = 0;
    for (std::uint16_t vector = 0; vector < count_; ++vector) {
      if (!pending_[vector] || !open(state, vector)) continue;
      pending_[vector] = false;
      ++due;
    }
    // A pair of words may unmask and change the message at once.
    require(source_.sent().size() == due);
  }
  void check() {
    const MsixState state = msix_->state();
    std::size_t routes = 0;
    for (std::uint16_t vector = 0; vector < count_; ++vector) {
      require(state.entries[vector].pending == pending_[vector]);
      require((state.entries[vector].address & 3) == 0);
      require((state.entries[vector].control & ~1u) == 0);
      routes += open(state, vector) ? 1 : 0;
    }
    require(source_.routes() == routes);
    require(msix_->enabled() == ((state.control & Msix::kEnable) != 0));
  }

  Input input_;
  std::uint16_t count_;
  vm_device::testing::FakeMsiSource source_;
  std::unique_ptr<Msix> msix_;
  std::vector<bool> pending_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const auto count = static_cast<std::uint16_t>(1 + input.byte() % 40);
  Script(input, count).run();
  return 0;
}
