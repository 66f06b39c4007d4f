// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <liburing.h>

#include <memory>
#include <vector>

#include "vmm/block/engine.h"

namespace vmm::block {

/// One ring for one queue. The ring's own descriptor is polled: it is readable while completions
/// wait, so there is no counter to be written by the kernel and read by us.
class UringEngine final : public Engine {
 public:
  static Result<std::unique_ptr<UringEngine>> create(const Options& options);
  ~UringEngine() override;

  [[nodiscard]] EngineKind kind() const override { return EngineKind::kUring; }
  [[nodiscard]] bool has_pinned_memory() const override { return !pinned_.empty(); }
  void submit(const Operation& operation) override;
  void kick() override;
  [[nodiscard]] std::size_t reap(std::span<Completion> out) override;
  void wait() override;
  void cancel() override;
  [[nodiscard]] int poll_fd() const override { return ring_.ring_fd; }

 private:
  explicit UringEngine(const io_uring& ring) : ring_(ring) {}
  Result<void> try_out();
  void register_files(std::span<const int> files);
  void pin(std::span<const IoVec> memory);
  void prepare(io_uring_sqe& entry, const Operation& operation);
  void prepare_transfer(io_uring_sqe& entry, const Operation& operation);
  // What is rare is not inlined, so that the usual submission needs few registers.
  /// Where the buffer is registered, or -1. Precondition: some are.
  [[gnu::noinline, nodiscard]] int pinned_index(const IoVec& buffer);
  void use_file(io_uring_sqe& entry, int fd) const {
    if (fd != first_file_) return use_other_file(entry, fd);
    entry.fd = 0;
    entry.flags |= IOSQE_FIXED_FILE;
  }
  [[gnu::noinline]] void use_other_file(io_uring_sqe& entry, int fd) const;
  [[gnu::noinline]] void refuse(const Operation& operation);
  void enter(unsigned wait_for);
  void break_down(int error);

  io_uring ring_;
  std::vector<int> files_;          // registered, by their index
  int first_file_ = -1;             // of these
  std::vector<IoVec> pinned_;       // registered, by their index
  std::size_t last_pinned_ = 0;     // the one that was used last
  std::vector<Completion> failed_;  // that the kernel did not want; never grows
  std::uint32_t in_flight_ = 0;     // entered and not reaped, cancellations too
  int broken_ = 0;                  // errno of io_uring_enter(2), for good
};

}  // namespace vmm::block
