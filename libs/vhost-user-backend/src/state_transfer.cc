// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "state_transfer.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>

#include "vmm/sys_util/fd_flags.h"
#include "vmm/vhost_user/message_error.h"
#include "vmm/virtio_device/virtio_device.h"

namespace vmm::vhost_user_backend {
namespace {

using vhost_user::MessageError;
using virtio_device::StateOwner;

/// Bytes of one round, before others of the loop have their turn: what a pipe holds.
constexpr std::size_t kPieceBytes = 65536;

bool must_wait() { return errno == EAGAIN || errno == EINTR; }

}  // namespace

Result<void> StateTransfer::begin(Kind kind, UniqueFd pipe) {
  cancel();
  VMM_TRY_DO(sys_util::set_nonblocking(pipe.get(), "device state: fcntl"));
  const auto events = kind == Kind::kSave ? event_manager::kWritable : event_manager::kReadable;
  VMM_TRY(watch_, loop_.add(pipe.get(), events, [this](event_manager::EventSet) { go_on(); }));
  pipe_ = std::move(pipe);
  kind_ = kind;
  return {};
}

Result<void> StateTransfer::save(UniqueFd pipe, std::vector<std::byte> state) {
  VMM_TRY_DO(begin(Kind::kSave, std::move(pipe)));
  state_ = std::move(state);
  if (state_.empty()) end(std::nullopt);
  return {};
}

Result<void> StateTransfer::load(UniqueFd pipe) { return begin(Kind::kLoad, std::move(pipe)); }

void StateTransfer::go_on() { kind_ == Kind::kSave ? write_some() : read_some(); }

void StateTransfer::write_some() {
  const auto rest = std::span(state_).subspan(written_);
  const ssize_t n = ::write(pipe_.get(), rest.data(), std::min(rest.size(), kPieceBytes));
  if (n < 0) {
    if (!must_wait()) end(Error::from_errno("write a device state"));
    return;
  }
  written_ += static_cast<std::size_t>(n);
  if (written_ == state_.size()) end(std::nullopt);
}

void StateTransfer::read_some() {
  std::array<std::byte, kPieceBytes> piece;
  const ssize_t n = ::read(pipe_.get(), piece.data(), piece.size());
  if (n < 0) {
    if (!must_wait()) end(Error::from_errno("read a device state"));
    return;
  }
  if (n == 0) return end(std::nullopt);
  const auto got = std::span(piece).first(static_cast<std::size_t>(n));
  if (got.size() > StateOwner::kMaxBytes - state_.size()) {
    return end(Error::os(EFBIG, "read a device state"));
  }
  state_.insert(state_.end(), got.begin(), got.end());
}

// The front end sees the end of what was saved by the end of the pipe.
void StateTransfer::end(std::optional<Error> error) {
  watch_.reset();
  pipe_.reset();
  error_ = error;
}

// A front end that has written all asks at once; more than a pipe holds it has not written.
Result<std::vector<std::byte>> StateTransfer::finish() {
  const Kind kind = kind_;
  for (int pieces = 0; kind == Kind::kLoad && pipe_ && pieces < 2; ++pieces) read_some();
  const bool complete = kind != Kind::kNone && !pipe_;
  const std::optional<Error> error = error_;
  std::vector<std::byte> loaded;
  if (kind == Kind::kLoad) loaded = std::move(state_);
  cancel();
  if (!complete) return fail(MessageError::kBadState);
  if (error) return fail(*error);
  return loaded;
}

void StateTransfer::cancel() {
  watch_.reset();
  pipe_.reset();
  kind_ = Kind::kNone;
  state_ = {};
  written_ = 0;
  error_.reset();
}

}  // namespace vmm::vhost_user_backend
