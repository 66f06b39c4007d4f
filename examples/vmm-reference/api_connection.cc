// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "api_connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <span>
#include <utility>

#include "vmm/sys_util/fd_flags.h"

namespace vmm::reference {

using event_manager::EventSet;

Result<std::unique_ptr<ApiConnection>> ApiConnection::create(UniqueFd fd,
                                                             event_manager::EventLoop& loop,
                                                             Owner owner) {
  VMM_TRY_DO(sys_util::set_nonblocking(fd.get(), "API connection"));
  std::unique_ptr<ApiConnection> made(new ApiConnection(std::move(fd), std::move(owner)));
  ApiConnection* self = made.get();
  VMM_TRY(made->timer_,
          event_manager::Timer::create(loop, [self](std::uint64_t) { self->time_out(); }));
  VMM_TRY(made->registration_, loop.add(self->fd_.get(), event_manager::kReadable,
                                        [self](EventSet ready) { self->handle(ready); }));
  return made;
}

void ApiConnection::end() {
  if (ended_) return;
  ended_ = true;
  registration_.reset();
  (void)timer_->disarm().has_value();
  fds_.clear();
  fd_.reset();
  owner_.on_end();
}

void ApiConnection::handle(EventSet ready) {
  last_sign_ = std::chrono::steady_clock::now();
  const auto over = event_manager::kError | event_manager::kHangUp;
  if (ready.has_any(over) && !ready.has(event_manager::kReadable)) return end();
  if (!flush()) return;
  if (output_.empty() && !input_ended_) read();
  serve();
}

// The loop may have been busy with another request; a client that sent something meanwhile was not
// slow.
void ApiConnection::time_out() {
  if (awaiting_) return;
  if (!output_.empty() || input_ended_ || draining_ || !read()) return end();
  timing_ = false;
  serve();
}

bool ApiConnection::read() {
  std::array<std::byte, 65536> bytes;
  std::array<UniqueFd, kMaxFds> fds;
  const auto got = sys_util::receive_with_fds(fd_.get(), bytes, fds);
  const bool crowded = got ? fds_.size() + got->fds > kMaxFds : got.error().is_os(EOVERFLOW);
  if (crowded) {
    refuse(400, "Too many descriptors");
    return false;
  }
  if (!got) {
    if (!got.error().is_os(EAGAIN)) end();
    return false;
  }
  std::move(fds.begin(), fds.begin() + static_cast<std::ptrdiff_t>(got->fds),
            std::back_inserter(fds_));
  if (got->fds != 0) before_fds_end_ = input_.size() + got->bytes;
  input_ended_ = got->bytes == 0;
  if (draining_) {
    fds_.clear();
  } else {
    input_.append(reinterpret_cast<const char*>(bytes.data()), got->bytes);
  }
  return got->bytes != 0;
}

void ApiConnection::serve() {
  serving_ = true;
  while (!ended_ && !awaiting_ && !closing_ && !draining_ && output_.empty()) {
    const std::size_t waiting = input_.size();
    auto request = parser_.take(input_);
    before_fds_end_ -= std::min(before_fds_end_, waiting - input_.size());
    if (!request) {
      refuse(request.error());
      break;
    }
    if (!*request) break;
    ask(*std::move(*request));
  }
  serving_ = false;
  if (ended_) return;
  if (awaiting_) return wait();
  const bool listening = !closing_ && !draining_ && output_.empty();
  if (listening && parser_.take_expectation()) send("HTTP/1.1 100 Continue\r\n\r\n");
  if (ended_) return;
  if (output_.empty() && (closing_ || input_ended_)) return end();
  wait();
}

void ApiConnection::ask(HttpRequest request) {
  if (before_fds_end_ == 0) request.fds = std::exchange(fds_, {});
  new_limit_ = true;
  awaiting_ = true;
  const bool keep_alive = request.keep_alive && !input_ended_;
  owner_.answer(std::move(request), [self = self_, keep_alive](const HttpAnswer& answer) {
    if (*self != nullptr) (*self)->take(answer, keep_alive);
  });
}

void ApiConnection::take(const HttpAnswer& answer, bool keep_alive) {
  if (ended_ || !awaiting_) return;
  awaiting_ = false;
  if (!keep_alive) closing_ = true;
  send(answer.text(keep_alive));
  if (!serving_) serve();
}

// Closing while the client still sends would take the answer away from it: what it sends is thrown
// away for a while.
void ApiConnection::refuse(unsigned status, std::string_view why) {
  draining_ = true;
  input_.clear();
  fds_.clear();
  std::string body = R"(["Error from API",")";
  body.append(why).append("\"]");
  send(HttpAnswer{.status = status, .body = std::move(body)}.text(false));
}

void ApiConnection::refuse(HttpError error) {
  if (error == HttpError::kTooLarge) return refuse(413, "The request body is too large");
  refuse(400, "Malformed HTTP request");
}

void ApiConnection::send(std::string_view text) {
  output_ += text;
  (void)flush();
}

bool ApiConnection::flush() {
  while (!output_.empty()) {
    const ssize_t sent = ::send(fd_.get(), output_.data(), output_.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return true;
    if (sent < 0) {
      end();
      return false;
    }
    output_.erase(0, static_cast<std::size_t>(sent));
  }
  return true;
}

// Only a client that has begun something is being waited for. Of one that waits itself, only its
// end is of interest.
void ApiConnection::wait() {
  const auto interest = awaiting_         ? event_manager::kNoEvents
                        : output_.empty() ? event_manager::kReadable
                                          : event_manager::kWritable;
  const bool hurry =
      !awaiting_ && (!output_.empty() || draining_ || parser_.in_request() || !fds_.empty());
  if (draining_ && output_.empty()) ::shutdown(fd_.get(), SHUT_WR);
  if (!registration_.modify(interest)) return end();
  const bool again = std::exchange(new_limit_, false);
  if (hurry == timing_ && !(hurry && again)) return;
  timing_ = hurry;
  const auto set = hurry ? timer_->arm({.after = owner_.patience}) : timer_->disarm();
  if (!set) end();
}

}  // namespace vmm::reference
