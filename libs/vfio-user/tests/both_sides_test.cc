// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Client and server against each other, over a socket: a device of this library as vfio::Device.

#include <poll.h>
#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <numeric>
#include <thread>

#include "raw_peer.h"
#include "test_device.h"
#include "vmm/sys_util/mapping.h"
#include "vmm/sys_util/temp_directory.h"
#include "vmm/sys_util/unix_socket.h"
#include "vmm/vfio/feature.h"
#include "vmm/vfio/migration.h"
#include "vmm/vfio_user/remote_space.h"
#include "vmm/vfio_user/server.h"
#include "vmm/vfio_user/server_session.h"

namespace vmm::vfio_user {
namespace {

using vfio::DmaMemory;

constexpr std::uint64_t kIova = 0x4000'0000;
constexpr std::uint64_t kMemoryBytes = 64 * kPage;

/// Serves a device on a thread of its own until the client goes.
class ServerThread {
 public:
  explicit ServerThread(UniqueFd socket)
      : thread_([this, socket = std::move(socket)]() mutable { run(std::move(socket)); }) {}
  ~ServerThread() { thread_.join(); }

  TestDevice device;  // to be looked at when its thread has nothing to do

 private:
  void run(UniqueFd socket) {
    auto session = ServerSession::create(std::move(socket), device);
    for (;;) {
      const auto event = (*session)->serve();
      if (!event || *event == ServerSession::Event::kClosed) return;
      if (*event == ServerSession::Event::kNothing) {
        pollfd one{.fd = (*session)->fd(), .events = POLLIN, .revents = 0};
        (void)::poll(&one, 1, -1);
      }
    }
  }

  std::thread thread_;
};

/// Guest memory behind a file.
class Memory {
 public:
  Memory()
      : mapping_(*sys_util::Mapping::create(
            kMemoryBytes,
            {.protection = PROT_READ | PROT_WRITE, .flags = MAP_SHARED, .fd = file_.fd()})) {}
  [[nodiscard]] DmaMemory at(std::uint64_t iova, bool with_file) const {
    DmaMemory memory{
        .iova = iova, .memory = mapping_.bytes(), .owner = nullptr, .device_writes = true};
    if (with_file) memory.fd = file_.fd();
    return memory;
  }
  [[nodiscard]] std::span<std::byte> bytes() const { return mapping_.bytes(); }

 private:
  sys_util::MemFd file_ = *sys_util::MemFd::create(kMemoryBytes);
  sys_util::Mapping mapping_;
};

struct Rig {
  explicit Rig(Client::Options options = {}) : Rig(socket_pair(), options) {}
  Rig(std::pair<UniqueFd, UniqueFd> ends, Client::Options options)
      : server(std::move(ends.first)),
        space(RemoteSpace::create({.client = options,
                                   .on_connect =
                                       [this](const auto& made) {
                                         client = made;
                                         return Result<void>();
                                       }})),
        device(*space->connect(std::move(ends.second))) {}

  Result<void> transfer(const Transfer& what) const { return device->write(2, 0, bytes_of(what)); }

  ServerThread server;
  std::shared_ptr<Client> client;
  std::shared_ptr<RemoteSpace> space;
  std::unique_ptr<vfio::Device> device;
};

TEST_CASE("a remote device is a VFIO device", "[sides]") {
  Rig rig;
  const vfio::Device& device = *rig.device;
  CHECK(device.info().kind == vfio::DeviceKind::kPci);
  CHECK(device.info().resettable);
  CHECK(device.region(0).bytes == TestDevice::kMemory);
  CHECK(device.region(1).bytes == 0);
  CHECK(device.region(3).writable == false);
  CHECK(device.irq(vfio::PciIrq::kIntx).automasked);
  CHECK(device.irq(vfio::PciIrq::kMsix).count == 100);
  CHECK(device.reset());

  std::array<std::byte, 3> config{};
  REQUIRE(device.read(vfio::kConfigRegion, 5, config));
  CHECK(config[2] == std::byte{7});
  CHECK(device.write(vfio::kConfigRegion, 0, config).error().is_os(EPERM));
  CHECK_FALSE(device.hot_reset());
  CHECK_FALSE(device.set_ioeventfd(2, {.offset = 0, .bytes = 4}, 0, -1));
}

TEST_CASE("what can be mapped is mapped", "[sides]") {
  Rig rig;
  const std::byte mark{77};
  REQUIRE(::pwrite(rig.server.device.file.fd(), &mark, 1, 3 * kPage + 9) == 1);
  REQUIRE(rig.device->region(0).mappable.size() == 1);
  const auto mapped = rig.device->map(0, rig.device->region(0).mappable[0]);
  REQUIRE(mapped);
  CHECK(mapped->bytes()[9] == mark);
  CHECK_FALSE(rig.device->map(0, {.offset = 0, .bytes = kPage}));
  CHECK_FALSE(rig.device->map(2, {.offset = 0, .bytes = kPage}));
}

TEST_CASE("large accesses are several", "[sides]") {
  Rig rig;
  Bytes wanted(TestDevice::kMemory);
  for (std::size_t i = 0; i < wanted.size(); ++i) wanted[i] = static_cast<std::byte>(i * 7);
  REQUIRE(rig.device->write(0, 0, wanted));
  Bytes found(wanted.size());
  REQUIRE(rig.device->read(0, 0, found));
  CHECK(found == wanted);
}

TEST_CASE("DMA, with and without a file, both ways", "[sides]") {
  const bool with_file = GENERATE(true, false);
  CAPTURE(with_file);
  Rig rig;
  const Memory memory;
  auto mapping = rig.space->map(memory.at(kIova, with_file));
  REQUIRE(mapping);
  const auto event = sys_util::EventFd::create();
  const std::int32_t fds[] = {-1, -1, event->fd()};
  REQUIRE(rig.device->set_irqs(2, 0, fds));

  const Bytes there(4 * kPage, std::byte{0x5a});
  std::ranges::copy(there, memory.bytes().begin() + 10);
  const Transfer in{.iova = kIova + 10,
                    .offset = 0,
                    .bytes = static_cast<std::uint32_t>(there.size()),
                    .to_memory = 0,
                    .interrupt = 2};
  REQUIRE(rig.transfer(in));
  CHECK(*event->take() == 1);
  Bytes found(there.size());
  REQUIRE(rig.device->read(0, 0, found));
  CHECK(found == there);

  Transfer out = in;
  out.iova = kIova + kMemoryBytes - there.size();
  out.to_memory = 1;
  REQUIRE(rig.transfer(out));
  CHECK(std::ranges::equal(memory.bytes().last(there.size()), there));
  CHECK(*event->take() == 1);

  Transfer beyond = out;
  beyond.iova += 1;
  CHECK_FALSE(rig.transfer(beyond));
  REQUIRE(mapping->unmap());
  CHECK(rig.transfer(in).error().is_os(EFAULT));
}

TEST_CASE("a server's commands come on a socket of their own", "[sides]") {
  Rig rig({.patience = Client::Milliseconds(10'000), .twin_socket = true});
  CHECK(rig.client->server().twin_socket);
  std::atomic<bool> end = false;
  std::thread answers([&] {
    while (!end) {
      pollfd one{.fd = rig.client->fd(), .events = POLLIN, .revents = 0};
      if (::poll(&one, 1, 20) > 0) (void)rig.client->serve();
    }
  });
  const Memory memory;
  const auto mapping = rig.space->map(memory.at(kIova, false));
  // The other thread reads it after a message; ThreadSanitizer does not know that order.
  std::atomic_ref(memory.bytes()[3]).store(std::byte{9});
  CHECK(rig.transfer({.iova = kIova, .offset = 0, .bytes = 8, .to_memory = 0, .interrupt = 0}));
  std::array<std::byte, 8> found{};
  CHECK(rig.device->read(0, 0, found));
  CHECK(found[3] == std::byte{9});
  end = true;
  answers.join();
}

TEST_CASE("interrupts wait while they are masked", "[sides]") {
  Rig rig;
  const auto event = sys_util::EventFd::create();
  const std::int32_t fd = event->fd();
  REQUIRE(rig.device->set_irqs(0, 0, std::span(&fd, 1)));
  const vfio::IrqRange intx{.index = 0, .first = 0, .count = 1};
  REQUIRE(rig.device->trigger_irqs(intx));
  CHECK(*event->take() == 1);
  REQUIRE(rig.device->trigger_irqs(intx));  // it has masked itself
  CHECK(event->take().error().is_os(EAGAIN));
  REQUIRE(rig.device->unmask_irqs(intx));
  CHECK(*event->take() == 1);
  REQUIRE(rig.device->mask_irqs(intx));
  REQUIRE(rig.device->unmask_irqs(intx));
  CHECK(event->take().error().is_os(EAGAIN));
  REQUIRE(rig.device->disable_irqs(0));
  REQUIRE(rig.device->trigger_irqs(intx));
  CHECK(event->take().error().is_os(EAGAIN));
  // Servers would signal these where kernels listen.
  CHECK(rig.device->set_unmask_fd(0, 0, fd).error().is_os(ENOTSUP));
}

TEST_CASE("more interrupts than descriptors of a message", "[sides]") {
  Rig rig;
  const auto event = sys_util::EventFd::create();
  std::vector<std::int32_t> fds(100, event->fd());
  fds[50] = -1;
  REQUIRE(rig.device->set_irqs(2, 0, fds));
  REQUIRE(rig.device->trigger_irqs({.index = 2, .first = 0, .count = 100}));
  CHECK(*event->take() == 99);
}

TEST_CASE("writes that the kernel may turn into events", "[sides]") {
  Rig rig;
  const auto events = rig.client->io_events(2, kPage);
  REQUIRE(events);
  REQUIRE(events->events.size() == 2);
  CHECK(events->fds.size() == 1);
  CHECK(events->events[0].value == 1);
  CHECK_FALSE(events->events[1].value.has_value());
  REQUIRE(sys_util::EventFd::adopt(UniqueFd(::dup(events->events[1].fd))).add(3));
  CHECK(*rig.server.device.event.take() == 3);
  CHECK(rig.client->io_events(0, kPage)->events.empty());
}

TEST_CASE("small writes go together, posted ones without waiting", "[sides]") {
  Rig rig;
  std::vector<SmallWrite> writes;
  for (std::uint32_t i = 0; i < 500; ++i) {
    writes.push_back({.offset = i, .region = 0, .count = 1, .data = {static_cast<std::byte>(i)}});
  }
  REQUIRE(rig.client->write_many(writes));
  const std::byte last{99};
  REQUIRE(rig.client->post_write(0, 499, std::span(&last, 1)));
  Bytes found(500);
  REQUIRE(rig.device->read(0, 0, found));
  CHECK(found[498] == static_cast<std::byte>(498 % 256));
  CHECK(found[499] == last);
}

TEST_CASE("pages that a device writes are told once", "[sides]") {
  const bool with_file = GENERATE(true, false);
  Rig rig;
  const Memory memory;
  const auto mapping = rig.space->map(memory.at(kIova, with_file));
  REQUIRE(rig.space->set_dirty_tracking(true));
  const Transfer out{
      .iova = kIova + 3 * kPage - 1, .offset = 0, .bytes = 2, .to_memory = 1, .interrupt = 0};
  REQUIRE(rig.transfer(out));
  std::array<std::uint64_t, 1> bitmap{1};
  const vfio::DmaSpan all{.iova = kIova, .bytes = kMemoryBytes};
  REQUIRE(rig.space->read_dirty(all, kPage, bitmap));
  CHECK(bitmap[0] == 0b1101);
  bitmap[0] = 0;
  REQUIRE(rig.space->read_dirty(all, kPage, bitmap));
  CHECK(bitmap[0] == 0);

  // The same by the functions of the kernel's devices.
  REQUIRE(rig.space->set_dirty_tracking(false));
  CHECK_FALSE(rig.space->read_dirty(all, kPage, bitmap));
  REQUIRE(vfio::start_dma_logging(*rig.device, kPage, std::span(&all, 1)));
  REQUIRE(rig.transfer(out));
  REQUIRE(vfio::read_dma_log(*rig.device, {.iova = kIova, .bytes = 4 * kPage}, 2 * kPage, bitmap));
  CHECK(bitmap[0] == 0b10);
  REQUIRE(vfio::stop_dma_logging(*rig.device));
}

TEST_CASE("a device's state moves to another one", "[sides]") {
  using State = vfio::MigrationState;
  Rig from, to;
  const auto support = vfio::migration_support(*from.device);
  REQUIRE((support && *support));
  CHECK((*support)->pre_copy);
  Bytes wanted(TestDevice::kMemory);
  for (std::size_t i = 0; i < wanted.size(); ++i) wanted[i] = static_cast<std::byte>(i / 3);
  REQUIRE(from.device->write(0, 0, wanted));

  REQUIRE(vfio::set_migration_state(*from.device, State::kStopCopy));
  CHECK(*vfio::migration_state(*from.device) == State::kStopCopy);
  CHECK_FALSE(vfio::set_migration_state(*from.device, State::kPreCopy));
  REQUIRE(vfio::set_migration_state(*to.device, State::kResuming));
  Bytes part(5000);
  for (std::size_t n = part.size(); n == part.size();) {
    const auto read = from.client->read_migration(part);
    REQUIRE(read);
    n = *read;
    REQUIRE(to.client->write_migration(std::span(part).first(n)));
  }
  REQUIRE(vfio::set_migration_state(*to.device, State::kRunning));
  Bytes found(wanted.size());
  REQUIRE(to.device->read(0, 0, found));
  CHECK(found == wanted);
  CHECK(to.client->write_migration(part).error().is_os(EINVAL));
  CHECK(from.device->reset());
  CHECK(*vfio::migration_state(*from.device) == State::kRunning);
  CHECK(*vfio::has_feature(*from.device, 6, vfio::FeatureUse::kSet));
  CHECK_FALSE(*vfio::has_feature(*from.device, 9, vfio::FeatureUse::kGet));
}

TEST_CASE("states are reached on the shortest way that saves nothing between", "[migration]") {
  using State = vfio::MigrationState;
  struct Case {
    State from, to;
    std::vector<State> steps;
  };
  const Case cases[] = {
      {State::kRunning, State::kStopCopy, {State::kStop, State::kStopCopy}},
      {State::kRunning, State::kPreCopy, {State::kPreCopy}},
      {State::kRunning, State::kResuming, {State::kStop, State::kResuming}},
      {State::kPreCopy, State::kStopCopy, {State::kStopCopy}},
      {State::kPreCopy, State::kStop, {State::kRunning, State::kStop}},
      {State::kStopCopy, State::kRunning, {State::kStop, State::kRunning}},
      {State::kStopCopy, State::kResuming, {State::kStop, State::kResuming}},
      {State::kResuming, State::kRunning, {State::kStop, State::kRunning}},
      {State::kResuming, State::kPreCopy, {State::kStop, State::kRunning, State::kPreCopy}},
      {State::kStop, State::kStop, {}},
  };
  for (const Case& one : cases) {
    CAPTURE(static_cast<int>(one.from), static_cast<int>(one.to));
    std::vector<std::byte> state;
    TestMigration migration(state);
    REQUIRE(migration.go(one.from));
    migration.steps.clear();
    REQUIRE(migration.go(one.to));
    CHECK(migration.steps == one.steps);
    migration.refuses = true;
    const State before = migration.state();
    if (before != State::kRunning) CHECK_FALSE(migration.go(State::kRunning));
    CHECK(migration.state() == before);
  }
}

TEST_CASE("a server's end is an error value everywhere", "[sides]") {
  auto ends = socket_pair();
  std::optional<ServerThread> server(std::in_place, std::move(ends.first));
  std::shared_ptr<Client> client;
  const auto space = RemoteSpace::create({.client = {}, .on_connect = [&](const auto& made) {
                                            client = made;
                                            return Result<void>();
                                          }});
  auto device = space->connect(std::move(ends.second));
  REQUIRE(device);
  const Memory memory;
  auto mapping = space->map(memory.at(kIova, true));
  REQUIRE(mapping);
  CHECK(::shutdown(client->fd(), SHUT_RDWR) == 0);
  server.reset();
  CHECK((*device)->reset().has_value() == false);
  CHECK_FALSE((*device)->read(0, 0, memory.bytes().first(4)));
  CHECK(client->over());
  CHECK(mapping->unmap());
  CHECK(space->map(memory.at(kIova, true)));  // for devices to come
}

TEST_CASE("a listener serves several clients, each with its device", "[server]") {
  const auto folder = sys_util::TempDirectory::create();
  const std::string path = folder->path() + "/socket";
  std::vector<std::shared_ptr<TestDevice>> devices;
  int ended = 0;
  auto loop = event_manager::EventLoop::create();
  Server server(*loop, {.make_device = [&]() -> Result<std::shared_ptr<Device>> {
                          devices.push_back(std::make_shared<TestDevice>());
                          return std::shared_ptr<Device>(devices.back());
                        },
                        .max_clients = 2,
                        .session = {},
                        .on_end = [&](const std::optional<Error>&) { ++ended; }});
  REQUIRE(server.listen(*sys_util::UnixListener::create(path)));
  const auto poster = loop->poster();
  std::thread thread([&] { (void)loop->run(); });

  const auto space = RemoteSpace::create();
  const Memory memory;
  const auto mapping = space->map(memory.at(kIova, false));
  auto first = space->attach(path);
  auto second = space->attach(path);
  REQUIRE(first);
  REQUIRE(second);
  const std::byte one{1}, two{2};
  CHECK((*first)->write(0, 0, std::span(&one, 1)));
  CHECK((*second)->write(0, 0, std::span(&two, 1)));
  std::byte found{};
  CHECK((*first)->read(0, 0, std::span(&found, 1)));
  CHECK(found == one);
  const Transfer out{.iova = kIova, .offset = 0, .bytes = 1, .to_memory = 1, .interrupt = 0};
  CHECK((*second)->write(2, 0, bytes_of(out)));
  CHECK(memory.bytes()[0] == two);

  // A third one waits until there is room.
  auto waiting = sys_util::connect_unix(path);
  REQUIRE(waiting);
  first->reset();
  auto third = space->connect(std::move(*waiting));
  REQUIRE(third);
  second->reset();
  third->reset();
  CHECK(poster.post([&] { loop->stop(); }));
  thread.join();
  CHECK(devices.size() == 3);
  CHECK(ended >= 1);
}

}  // namespace
}  // namespace vmm::vfio_user
