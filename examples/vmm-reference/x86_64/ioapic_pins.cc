// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "ioapic_pins.h"

#include <cerrno>
#include <utility>

#include "vmm/base/log.h"
#include "vmm/base/mutex.h"
#include "vmm/sys_util/event_fd.h"
#include "vmm/sys_util/fd_flags.h"

namespace vmm::reference::x86_64 {

using sys_util::EventFd;

/// One device's pin. The control loop may still hold it when it is over, and knows nothing of the
/// device then.
class IoapicPins::Connection {
 public:
  Connection(EventFd trigger, EventFd unmask, vfio_pci::PinSink* sink)
      : trigger_(std::move(trigger)), unmask_(std::move(unmask)), sink_(sink) {}

  /// On the loop's thread.
  void watch(event_manager::EventLoop& loop, const std::shared_ptr<Connection>& self) {
    auto added = loop.add(trigger_.fd(), event_manager::kReadable,
                          [self](event_manager::EventSet) { self->heard(); });
    if (added) {
      registration_ = *std::move(added);
    } else {
      VMM_LOG(kError, "interrupt pin of a device: %s", to_string(added.error()).c_str());
    }
  }
  void forget() { registration_.reset(); }

  /// The guest's end of the interrupt.
  void resampled() {
    const MutexLock lock(mutex_);
    if (sink_ == nullptr || !asserted_) return;
    asserted_ = false;
    sink_->set_pin(false);
    (void)sys_util::signal_shared(unmask_.fd());  // a server of vfio-user has it, too
  }
  void end() {
    const MutexLock lock(mutex_);
    if (asserted_) sink_->set_pin(false);
    sink_ = nullptr;
  }

 private:
  void heard() {
    (void)trigger_.take();
    const MutexLock lock(mutex_);
    if (sink_ == nullptr) return;
    asserted_ = true;
    sink_->set_pin(true);
  }

  const EventFd trigger_;
  const EventFd unmask_;
  event_manager::Registration registration_;  // of the loop's thread
  Mutex mutex_;
  vfio_pci::PinSink* sink_ VMM_GUARDED_BY(mutex_);
  bool asserted_ VMM_GUARDED_BY(mutex_) = false;
};

/// Connections that the control loop is to watch, once it has the time: a guest may make and end
/// any number until then, of which nothing is left here.
class IoapicPins::Coming {
 public:
  /// Whether the loop has to be told.
  [[nodiscard]] bool add(std::shared_ptr<Connection> connection) {
    const MutexLock lock(mutex_);
    connections_.push_back(std::move(connection));
    return !std::exchange(told_, true);
  }
  /// Whether it was still here: the loop does not know it.
  [[nodiscard]] bool remove(const std::shared_ptr<Connection>& connection) {
    const MutexLock lock(mutex_);
    return std::erase(connections_, connection) != 0;
  }
  /// On the loop's thread.
  void watch(event_manager::EventLoop& loop) {
    for (const auto& connection : take()) connection->watch(loop, connection);
  }

 private:
  std::vector<std::shared_ptr<Connection>> take() {
    const MutexLock lock(mutex_);
    told_ = false;
    return std::exchange(connections_, {});
  }

  Mutex mutex_;
  bool told_ VMM_GUARDED_BY(mutex_) = false;
  std::vector<std::shared_ptr<Connection>> connections_ VMM_GUARDED_BY(mutex_);
};

/// The devices on one line.
class IoapicPins::Line final : public vm_device::ResampleListener {
 public:
  void resampled() override {
    for (const auto& connection : connections()) connection->resampled();
  }
  void add(std::shared_ptr<Connection> connection) {
    const MutexLock lock(mutex_);
    connections_.push_back(std::move(connection));
  }
  void remove(const std::shared_ptr<Connection>& connection) {
    const MutexLock lock(mutex_);
    std::erase(connections_, connection);
  }

 private:
  std::vector<std::shared_ptr<Connection>> connections() {
    const MutexLock lock(mutex_);
    return connections_;
  }

  Mutex mutex_;
  std::vector<std::shared_ptr<Connection>> connections_ VMM_GUARDED_BY(mutex_);
};

IoapicPins::IoapicPins(event_manager::EventLoop& loop, vm_superio::Ioapic& ioapic,
                       std::size_t first, std::size_t count)
    : loop_(loop), coming_(std::make_shared<Coming>()) {
  for (std::size_t i = 0; i < count; ++i) {
    lines_.push_back(std::make_shared<Line>());
    ioapic.line(first + i).set_resample_listener(lines_.back().get());
  }
}

IoapicPins::~IoapicPins() = default;

Result<std::shared_ptr<const void>> IoapicPins::connect(const vfio_pci::PinWiring& wiring) {
  const auto copy = [](int fd) -> Result<EventFd> {
    VMM_TRY(UniqueFd copied, sys_util::duplicate(fd));
    return EventFd::adopt(std::move(copied));
  };
  VMM_TRY(EventFd trigger, copy(wiring.trigger));
  VMM_TRY(EventFd unmask, copy(wiring.unmask));
  auto connection =
      std::make_shared<Connection>(std::move(trigger), std::move(unmask), wiring.sink);
  const auto line = lines_[(wiring.slot + wiring.pin) % lines_.size()];
  line->add(connection);
  if (coming_->add(connection)) {
    loop_.post([&loop = loop_, coming = coming_] { coming->watch(loop); });
  }
  auto end = [line, connection, coming = coming_, poster = loop_.poster()](const void*) {
    connection->end();
    line->remove(connection);
    if (coming->remove(connection)) return;
    static_cast<void>(poster.post([connection] { connection->forget(); }));
  };
  return std::shared_ptr<const void>(connection.get(), std::move(end));
}

}  // namespace vmm::reference::x86_64
