// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Fakes of what a VMM offers to devices: message-signalled interrupts and doorbells. Not
// thread-safe: for tests with one thread.

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/vm_device/doorbell.h"
#include "vmm/vm_device/msi_vectors.h"

namespace vmm::vm_device::testing {

/// Keeps every message in order, and counts what exists.
class FakeMsiSource final : public MsiVectorSource {
 public:
  Result<std::unique_ptr<MsiVectors>> create_vectors(std::uint16_t count) override;

  /// What was delivered.
  [[nodiscard]] const std::vector<MsiMessage>& sent() const { return sent_; }
  /// Empties sent().
  void forget_sent() { sent_.clear(); }
  /// Vectors that have a message now.
  [[nodiscard]] std::size_t routes() const { return routes_; }
  /// Vectors that exist.
  [[nodiscard]] std::size_t vectors() const { return vectors_; }
  /// Vectors get no message any more, as with a kernel that has no free interrupt.
  void refuse(bool yes) { refuse_ = yes; }

 private:
  class Vectors;

  std::vector<MsiMessage> sent_;
  std::size_t routes_ = 0;
  std::size_t vectors_ = 0;
  bool refuse_ = false;
};

/// The vectors that a FakeMsiSource makes; the source must outlive them.
class FakeMsiSource::Vectors final : public MsiVectors {
 public:
  /// For create_vectors().
  Vectors(FakeMsiSource& source, std::uint16_t count) : source_(source), all_(count) {
    source_.vectors_ += count;
  }
  ~Vectors() override {
    for (Vector& vector : all_) set(vector, std::nullopt);
    source_.vectors_ -= all_.size();
  }

  Result<void> route(std::uint16_t vector, const std::optional<MsiMessage>& message) override {
    if (vector >= all_.size()) return {};
    if (message && source_.refuse_) {
      set(all_[vector], std::nullopt);
      return fail(Error::os(ENOSPC, "route a vector"));
    }
    set(all_[vector], message);
    if (all_[vector].pending && message) {
      all_[vector].pending = false;
      source_.sent_.push_back(*message);
    }
    return {};
  }
  void trigger(std::uint16_t vector) override {
    if (vector >= all_.size()) return;
    if (all_[vector].message) {
      source_.sent_.push_back(*all_[vector].message);
    } else {
      all_[vector].pending = true;
    }
  }
  [[nodiscard]] bool pending(std::uint16_t vector) const override {
    return vector < all_.size() && all_[vector].pending;
  }
  void clear(std::uint16_t vector) override {
    if (vector < all_.size()) all_[vector].pending = false;
  }
  /// A number that tells the vectors apart, not a descriptor.
  [[nodiscard]] int trigger_fd(std::uint16_t vector) const override {
    return vector < all_.size() ? 1000 + vector : -1;
  }

 private:
  struct Vector {
    std::optional<MsiMessage> message;
    bool pending = false;
  };

  void set(Vector& vector, const std::optional<MsiMessage>& message) {
    if (vector.message) --source_.routes_;
    if (message) ++source_.routes_;
    vector.message = message;
  }

  FakeMsiSource& source_;
  std::vector<Vector> all_;
};

inline Result<std::unique_ptr<MsiVectors>> FakeMsiSource::create_vectors(std::uint16_t count) {
  return std::unique_ptr<MsiVectors>(std::make_unique<Vectors>(*this, count));
}

/// Keeps what is installed.
class FakeDoorbells final : public Doorbells {
 public:
  Result<void> add(const Doorbell& doorbell) override {
    if (refuse_) return fail(Error::os(ENOSPC, "add a doorbell"));
    all_.push_back(doorbell);
    return {};
  }
  void remove(const Doorbell& doorbell) override { std::erase(all_, doorbell); }

  /// What is installed, oldest first.
  [[nodiscard]] const std::vector<Doorbell>& all() const { return all_; }
  /// Whether the next add() is refused with ENOSPC.
  void refuse(bool yes) { refuse_ = yes; }

 private:
  std::vector<Doorbell> all_;
  bool refuse_ = false;
};

}  // namespace vmm::vm_device::testing
