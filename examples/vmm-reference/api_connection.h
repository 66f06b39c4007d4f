// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http_message.h"
#include "vmm/base/unique_fd.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/event_manager/timer.h"
#include "vmm/sys_util/fd_passing.h"

namespace vmm::reference {

/// One client of the API: requests in, one after another, and their answers out. It never waits:
/// what a slow client does not take stays here, and meanwhile nothing more is read from it. Nor is
/// it while an answer is awaited.
///
/// Belongs to the loop's thread.
class ApiConnection {
 public:
  /// How many descriptors may come with one request.
  static constexpr std::size_t kMaxFds = sys_util::kMaxPassedFds;

  /// Takes the answer of a request; once. Without effect when the connection is over.
  using Reply = std::function<void(HttpAnswer)>;

  struct Owner {
    /// Answers, at once or later.
    std::function<void(HttpRequest, Reply)> answer;
    /// The connection is over. Called once, by the connection: it may be destroyed after that, not
    /// within.
    std::function<void()> on_end;
    /// For a request from its first byte to its last, and for the client to take the answer.
    std::chrono::milliseconds patience;
  };

  /// `fd` is connected. Errors: those of fcntl(2), epoll and timers.
  static Result<std::unique_ptr<ApiConnection>> create(UniqueFd fd, event_manager::EventLoop& loop,
                                                       Owner owner);
  ApiConnection(const ApiConnection&) = delete;
  ApiConnection& operator=(const ApiConnection&) = delete;
  ~ApiConnection() { *self_ = nullptr; }

  /// When the client last sent or took something.
  [[nodiscard]] std::chrono::steady_clock::time_point last_sign() const { return last_sign_; }
  /// Whether the client waits for an answer that its owner has not given yet.
  [[nodiscard]] bool awaits() const { return awaiting_; }
  /// Ends it, without another word.
  void end();

 private:
  ApiConnection(UniqueFd fd, Owner owner)
      : fd_(std::move(fd)),
        owner_(std::move(owner)),
        self_(std::make_shared<ApiConnection*>(this)) {}

  void handle(event_manager::EventSet ready);
  void time_out();
  /// Reads once. False: nothing is there, or the connection is over.
  bool read();
  /// Answers what is whole of the input, as long as the client takes the answers.
  void serve();
  void ask(HttpRequest request);
  void take(const HttpAnswer& answer, bool keep_alive);
  void refuse(HttpError error);
  void refuse(unsigned status, std::string_view why);
  void send(std::string_view text);
  /// Sends what the client takes. False: the connection is over.
  bool flush();
  /// Waits for what comes next, with or without a time limit.
  void wait();

  UniqueFd fd_;
  Owner owner_;
  std::shared_ptr<ApiConnection*> self_;  // what a reply finds of us: null once we are gone
  event_manager::Registration registration_;
  std::optional<event_manager::Timer> timer_;
  HttpParser parser_;
  std::string input_;
  std::string output_;
  std::vector<UniqueFd> fds_;  // that have come and are no request's yet
  // How much of the input ends with the last byte that came with them. Bytes without descriptors
  // may stand before it in the same message, never behind it: they are of the request that has that
  // byte.
  std::size_t before_fds_end_ = 0;
  std::chrono::steady_clock::time_point last_sign_ = std::chrono::steady_clock::now();
  bool timing_ = false;
  bool new_limit_ = false;    // what is waited for next has a time of its own
  bool serving_ = false;      // within serve()
  bool awaiting_ = false;     // the owner has a request and is to answer
  bool input_ended_ = false;  // the client sends no more
  bool closing_ = false;      // over when the output is sent
  bool draining_ = false;     // refused: what comes is thrown away
  bool ended_ = false;
};

}  // namespace vmm::reference
