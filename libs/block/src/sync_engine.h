// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <vector>

#include "vmm/block/engine.h"

namespace vmm::block {

/// Does each operation when it is submitted.
class SyncEngine final : public Engine {
 public:
  explicit SyncEngine(std::uint32_t depth) { ended_.reserve(depth); }

  [[nodiscard]] EngineKind kind() const override { return EngineKind::kSync; }
  void submit(const Operation& operation) override;
  void kick() override {}
  [[nodiscard]] std::size_t reap(std::span<Completion> out) override;
  void wait() override {}
  [[nodiscard]] int poll_fd() const override { return -1; }

 private:
  std::vector<Completion> ended_;  // never grows
};

}  // namespace vmm::block
