// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "kvm_msi.h"

#include <poll.h>

#include <atomic>
#include <optional>
#include <utility>
#include <vector>

#include "vmm/base/mutex.h"
#include "vmm/sys_util/event_fd.h"

namespace vmm::reference {
namespace {

using kvm_ioctls::Gsi;
using kvm_ioctls::IrqRoute;
using sys_util::EventFd;
using vm_device::MsiMessage;

class KvmMsiVectors final : public vm_device::MsiVectors {
 public:
  KvmMsiVectors(const kvm_ioctls::Vm& vm, GsiRoutes& routes, std::vector<EventFd> events)
      : vm_(vm), routes_(routes), given_away_(events.size()) {
    vectors_.reserve(events.size());
    for (EventFd& event : events) vectors_.push_back({.event = std::move(event)});
  }
  ~KvmMsiVectors() override;

  Result<void> route(std::uint16_t vector, const std::optional<MsiMessage>& message) override;
  void trigger(std::uint16_t vector) override {
    if (vector < vectors_.size()) signal(vector);
  }
  [[nodiscard]] bool pending(std::uint16_t vector) const override;
  void clear(std::uint16_t vector) override {
    if (vector < vectors_.size()) (void)vectors_[vector].event.take();
  }
  [[nodiscard]] int trigger_fd(std::uint16_t vector) const override {
    if (vector >= vectors_.size()) return -1;
    given_away_[vector].store(true, std::memory_order_relaxed);
    return vectors_[vector].event.fd();
  }

 private:
  struct Vector {
    EventFd event;             // constant
    std::optional<Gsi> gsi{};  // once it had a message
    bool connected = false;    // an irqfd takes its events
    MsiMessage message{};      // of the route of `gsi`
  };

  /// A peer that has the vector's event must not be waited for.
  void signal(std::uint16_t vector) const {
    const EventFd& event = vectors_[vector].event;
    if (given_away_[vector].load(std::memory_order_relaxed)) {
      (void)sys_util::signal_shared(event.fd());
    } else {
      (void)event.add();
    }
  }
  Result<void> connect(std::uint16_t number, const MsiMessage& message) VMM_REQUIRES(mutex_);
  void disconnect(Vector& vector) VMM_REQUIRES(mutex_);
  Result<void> set_message(Vector& vector, const MsiMessage& message) VMM_REQUIRES(mutex_);

  const kvm_ioctls::Vm& vm_;
  GsiRoutes& routes_;
  mutable Mutex mutex_;                                // for what of a vector is not constant
  std::vector<Vector> vectors_;                        // its size is constant
  mutable std::vector<std::atomic<bool>> given_away_;  // its size as well
};

KvmMsiVectors::~KvmMsiVectors() {
  const MutexLock lock(mutex_);
  for (Vector& vector : vectors_) {
    disconnect(vector);
    if (vector.gsi) routes_.release(*vector.gsi);
  }
}

Result<void> KvmMsiVectors::route(std::uint16_t vector, const std::optional<MsiMessage>& message) {
  if (vector >= vectors_.size()) return {};
  const MutexLock lock(mutex_);
  if (message) return connect(vector, *message);
  disconnect(vectors_[vector]);
  return {};
}

Result<void> KvmMsiVectors::connect(std::uint16_t number, const MsiMessage& message) {
  Vector& vector = vectors_[number];
  if (const auto set = set_message(vector, message); !set) {
    disconnect(vector);
    return set;
  }
  if (vector.connected) return {};
  // What was signalled meanwhile is taken out and signalled again, so that the kernel sees it come
  // and the counter does not tell of it for ever.
  const bool waiting = vector.event.take().has_value();
  VMM_TRY_DO(vm_.register_irqfd(vector.event.fd(), *vector.gsi));
  vector.connected = true;
  if (waiting) signal(number);
  return {};
}

Result<void> KvmMsiVectors::set_message(Vector& vector, const MsiMessage& message) {
  if (vector.gsi && vector.message == message) return {};
  if (!vector.gsi) {
    VMM_TRY(const Gsi gsi, routes_.allocate());
    vector.gsi = gsi;
  }
  VMM_TRY_DO(
      routes_.set(*vector.gsi, IrqRoute::to_msi(*vector.gsi, {.address = message.address,
                                                              .data = message.data,
                                                              .device_id = message.device_id})));
  vector.message = message;
  return {};
}

void KvmMsiVectors::disconnect(Vector& vector) {
  if (!vector.connected) return;
  (void)vm_.unregister_irqfd(vector.event.fd(), *vector.gsi);
  vector.connected = false;
}

bool KvmMsiVectors::pending(std::uint16_t vector) const {
  if (vector >= vectors_.size()) return false;
  const MutexLock lock(mutex_);
  if (vectors_[vector].connected) return false;
  pollfd event{.fd = vectors_[vector].event.fd(), .events = POLLIN, .revents = 0};
  return ::poll(&event, 1, 0) == 1;
}

}  // namespace

Result<std::unique_ptr<vm_device::MsiVectors>> KvmMsiSource::create_vectors(std::uint16_t count) {
  std::vector<EventFd> events;
  for (std::uint16_t i = 0; i < count; ++i) {
    VMM_TRY(EventFd event, EventFd::create());
    events.push_back(std::move(event));
  }
  return std::unique_ptr<vm_device::MsiVectors>(
      std::make_unique<KvmMsiVectors>(vm_, routes_, std::move(events)));
}

}  // namespace vmm::reference
