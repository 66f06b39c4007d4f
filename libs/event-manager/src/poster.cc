// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/event_manager/poster.h"

#include <atomic>
#include <cerrno>

#include "mailbox.h"

namespace vmm::event_manager {
namespace {

enum class Outcome : int { kWaiting, kRan, kDropped };
using Answer = std::shared_ptr<std::atomic<Outcome>>;

/// Answers the waiting thread when the function that carries it ran or was destroyed.
class Answerer {
 public:
  explicit Answerer(Answer answer) : answer_(std::move(answer)) {}
  Answerer(const Answerer&) = delete;
  Answerer& operator=(const Answerer&) = delete;
  ~Answerer() { give(Outcome::kDropped); }

  void give(Outcome outcome) {
    Outcome expected = Outcome::kWaiting;
    // Release: what the function wrote happens before the waiter, who acquires, goes on.
    if (answer_->compare_exchange_strong(expected, outcome, std::memory_order_release,
                                         std::memory_order_relaxed)) {
      answer_->notify_one();
    }
  }

 private:
  Answer answer_;
};

}  // namespace

Result<void> Poster::post(std::function<void()> function) const {
  if (!function) return fail(Error::os(EINVAL, "post to event loop"));
  return mailbox_->post(std::move(function));
}

Result<void> Poster::call(std::function<void()> function) const {
  if (!function) return fail(Error::os(EINVAL, "call in event loop"));
  if (mailbox_->on_loop_thread()) {
    function();
    return {};
  }
  const auto answer = std::make_shared<std::atomic<Outcome>>(Outcome::kWaiting);
  auto answerer = std::make_shared<Answerer>(answer);
  VMM_TRY_DO(mailbox_->post([answerer = std::move(answerer), &function] {
    function();
    answerer->give(Outcome::kRan);
  }));
  answer->wait(Outcome::kWaiting, std::memory_order_acquire);
  if (answer->load(std::memory_order_acquire) == Outcome::kRan) return {};
  return fail(Error::os(ESHUTDOWN, "call in event loop"));
}

void Poster::wake() const { mailbox_->wake(); }

}  // namespace vmm::event_manager
