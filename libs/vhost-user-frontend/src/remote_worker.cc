// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "remote_worker.h"

#include <utility>

#include "vmm/base/endian.h"
#include "vmm/base/log.h"
#include "vmm/sys_util/event_fd.h"
#include "vmm/sys_util/unix_socket.h"
#include "vmm/virtio_queue/layout.h"

namespace vmm::vhost_user_frontend {
namespace {

using event_manager::EventSet;

constexpr std::chrono::milliseconds kRetryInterval{100};

}  // namespace

RemoteWorker::RemoteWorker(std::shared_ptr<RemoteDevice::Core> core,
                           virtio_device::Activation activation)
    : core_(std::move(core)),
      memory_(activation.memory),
      features_(activation.features),
      interrupt_(std::move(activation.interrupt)) {
  for (virtio_device::ActiveQueue& queue : activation.queues) {
    rings_.push_back({.index = queue.index,
                      .shape = queue.queue.shape(),
                      .position = queue.queue.position(),
                      .kick_fd = queue.kick_fd,
                      .call_fd = -1});
    left_at_.push_back(std::move(queue.left_at));
  }
}

// A back end that ends its requests first may have files to map for them.
RemoteWorker::~RemoteWorker() {
  vhost_user::Frontend::Meanwhile channel;
  if (channel_watch_) channel = {.fd = channel_->fd(), .serve = [this] { return serve_channel(); }};
  core_->stop(rings_, std::move(channel));
  for (std::size_t i = 0; i < rings_.size(); ++i) {
    if (left_at_[i] != nullptr) *left_at_[i] = rings_[i].position;
  }
}

Result<void> RemoteWorker::start(event_manager::EventLoop& loop) {
  loop_ = &loop;
  VMM_TRY_DO(make_calls());
  VMM_TRY(retry_, event_manager::Timer::create(loop, [this](std::uint64_t) { reconnect(); }));
  VMM_TRY(channel_rest_, event_manager::Timer::create(loop, [this](std::uint64_t) {
            if (channel_watch_) (void)channel_watch_.modify(event_manager::kReadable);
          }));
  if (!core_->connected()) {  // it went while no driver was there
    wait_for_next();
    return {};
  }
  const Result<void> started = start_backend();
  if (started || core_->connected()) return started;
  wait_for_next();
  return {};
}

Result<void> RemoteWorker::make_calls() {
  relays_.resize(rings_.size());
  for (std::size_t i = 0; i < rings_.size(); ++i) VMM_TRY_DO(make_call(rings_[i], relays_[i]));
  return {};
}

// The driver's own interrupt where it is an eventfd; else one that is passed on.
Result<void> RemoteWorker::make_call(RemoteRing& ring, std::unique_ptr<Relay>& relay) {
  ring.call_fd = interrupt_->used_buffers_fd(ring.index);
  if (ring.call_fd >= 0) return {};
  if (relay == nullptr) {
    VMM_TRY(auto event, sys_util::EventFd::create());
    auto made = std::make_unique<Relay>(Relay{std::move(event), {}});
    VMM_TRY(made->watch, loop_->add(made->event.fd(), event_manager::kReadable,
                                    [this, &event = made->event, index = ring.index](EventSet) {
                                      (void)event.take();
                                      interrupt_->used_buffers(index);
                                    }));
    relay = std::move(made);
  }
  ring.call_fd = relay->event.fd();
  return {};
}

// Where that fails the driver would wait for ever. A back end that has gone hears it when the next
// one starts.
void RemoteWorker::move_interrupts() {
  if (!make_calls() || !core_->set_calls(rings_)) interrupt_->needs_reset();
}

Result<void> RemoteWorker::open_channel() {
  VMM_TRY(auto ends, sys_util::unix_socket_pair());
  channel_peer_ = std::move(ends.second);
  VMM_TRY(auto connection, vhost_user::Connection::adopt(std::move(ends.first)));
  channel_watch_.reset();
  channel_.emplace(std::move(connection), static_cast<vhost_user::BackendRequestHandler&>(*this));
  VMM_TRY(channel_watch_, loop_->add(channel_->fd(), event_manager::kReadable,
                                     [this](EventSet) { channel_is_ready(); }));
  return {};
}

Result<void> RemoteWorker::start_backend() {
  VMM_TRY_DO(open_channel());
  VMM_TRY_DO(core_->start({.memory = memory_,
                           .features = features_,
                           .rings = rings_,
                           .channel_fd = channel_peer_.get()}));
  channel_peer_.reset();
  // Its end alone: answers are for who asked.
  VMM_TRY(backend_watch_,
          loop_->add(core_->fd(), sys_util::kPeerClosed, [this](EventSet) { lose(); }));
  for (const RemoteRing& ring : rings_) {
    (void)sys_util::signal_shared(ring.kick_fd);  // what was offered before
  }
  return {};
}

// A channel that breaks the protocol, or ends, is not looked at again.
void RemoteWorker::channel_is_ready() {
  if (!serve_channel()) channel_watch_.reset();
  // Only now, as the driver's transport asks for what has changed: a back end that waits for our
  // answer would not give its own.
  if (std::exchange(config_changed_, false)) tell_config_changed();
}

// The configuration space is read for it, while whose CPUs want to read it wait. One change after
// the other, of a back end that answers slowly, would keep them waiting: what it has to say next is
// heard when they have had as much time.
void RemoteWorker::tell_config_changed() {
  const auto begun = Clock::now();
  interrupt_->config_changed();
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begun);
  if (took.count() == 0 || !channel_watch_ || !channel_rest_->arm({.after = took})) return;
  (void)channel_watch_.modify(event_manager::kNoEvents);
}

bool RemoteWorker::serve_channel() {
  const auto event = channel_->serve();
  return event && *event != vhost_user::Connection::Event::kClosed;
}

Result<UniqueFd> RemoteWorker::handle(vhost_user::BackendRequest& request) {
  if (std::holds_alternative<vhost_user::backend_request::ConfigChange>(request)) {
    config_changed_ = true;
    return UniqueFd();
  }
  if (const auto* map = std::get_if<vhost_user::backend_request::ShmemMap>(&request)) {
    VMM_TRY(SharedWindow* const window, window_of(map->area));
    VMM_TRY_DO(window->map(map->area, map->fd));
    return UniqueFd();
  }
  if (const auto* unmap = std::get_if<vhost_user::backend_request::ShmemUnmap>(&request)) {
    VMM_TRY(SharedWindow* const window, window_of(unmap->area));
    VMM_TRY_DO(window->unmap(unmap->area));
    return UniqueFd();
  }
  return fail(vhost_user::MessageError::kNotSupported);
}

Result<SharedWindow*> RemoteWorker::window_of(const vhost_user::ShmemArea& area) {
  if (core_->window() == nullptr) return fail(vhost_user::MessageError::kNotNegotiated);
  if (core_->options().window->id != area.id) return fail(vhost_user::MessageError::kNotFound);
  return core_->window();
}

void RemoteWorker::lose() {
  if (core_->can_resume(rings_)) return wait_for_next();
  let_go();
  interrupt_->needs_reset();
}

void RemoteWorker::let_go() {
  backend_watch_.reset();
  channel_watch_.reset();
  core_->disconnect();
  VMM_LOG_GUEST(kWarn, "vhost-user: the back end of device %u has gone",
                static_cast<unsigned>(core_->options().type));
}

void RemoteWorker::wait_for_next() {
  let_go();
  give_up_ = Clock::now() + core_->options().patience;
  (void)retry_->arm({.after = kRetryInterval, .every = kRetryInterval});
}

void RemoteWorker::find_positions() {
  for (RemoteRing& ring : rings_) {
    if (ring.shape.packed) continue;  // the inflight memory says it
    const auto index = ring.shape.rings.device.checked_add(virtio_queue::SplitUsed::kIndex);
    const auto used =
        index ? memory_.view().read<Le16>(*index) : fail(vm_memory::MemoryError::kOverflow);
    if (used) ring.position = {.next_avail = used->get(), .next_used = used->get()};
  }
}

void RemoteWorker::reconnect() {
  if (core_->connect()) {
    find_positions();
    const Result<void> started = start_backend();
    if (started) return (void)retry_->disarm();
    VMM_LOG_GUEST(kWarn, "vhost-user: the next back end: %s", to_string(started.error()).c_str());
    core_->disconnect();
  }
  if (Clock::now() < give_up_) return;
  (void)retry_->disarm();
  interrupt_->needs_reset();
}

}  // namespace vmm::vhost_user_frontend
