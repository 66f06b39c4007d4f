// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// What each request says to the kernel, and what its answer becomes.

#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <vector>

#include "answered_ioctls.h"
#include "linux_vhost.h"
#include "vmm/vhost/net.h"
#include "vmm/vhost/vdpa.h"
#include "vmm/vhost/vsock.h"

using namespace vmm;
using namespace vmm::vhost;
using testing::with_answers;

namespace {

using Bytes = std::vector<std::byte>;

struct Request {
  unsigned long number;
  Bytes argument;  // what the kernel would copy in
};

/// Answers each request with bytes of its own; remembers them all.
struct Recorder {
  std::vector<Request> requests;
  Bytes reply;  // for requests that read
  int answer = 0;

  int operator()(const testing::AskedIoctl& asked) {
    const unsigned long number = asked.request;
    Request request{.number = number, .argument = {}};
    auto* const bytes = reinterpret_cast<std::byte*>(asked.argument);
    if ((_IOC_DIR(number) & _IOC_WRITE) != 0 && bytes != nullptr) {
      std::size_t size = _IOC_SIZE(number);
      if (number == VHOST_SET_MEM_TABLE) {
        std::uint32_t regions = 0;
        std::memcpy(&regions, bytes, sizeof(regions));
        size += regions * sizeof(vhost_memory_region);
      }
      request.argument.assign(bytes, bytes + size);
    }
    if (answer >= 0 && !reply.empty()) std::memcpy(bytes, reply.data(), reply.size());
    requests.push_back(std::move(request));
    return answer;
  }
};

template <class T>
Bytes bytes_of(const T& value) {
  Bytes bytes(sizeof(value));
  std::memcpy(bytes.data(), &value, sizeof(value));
  return bytes;
}

UniqueFd any_fd() { return std::move(*sys_util::EventFd::create()).release(); }

/// What `call` asks of the kernel: one request.
Request asked(const std::function<void()>& call, Recorder recorder = {}) {
  if (!with_answers(VHOST_VIRTIO, std::ref(recorder), call)) return {};
  REQUIRE(recorder.requests.size() == 1);
  return recorder.requests[0];
}

void check_set(unsigned long number, const Bytes& argument, auto&& call) {
  bool done = false;
  const Request request = asked([&] { done = call().has_value(); });
  CAPTURE(number);
  CHECK(done);
  CHECK(request.number == number);
  CHECK(request.argument == argument);
}

template <class T>
void check_get(unsigned long number, const T& answer, auto&& call) {
  bool same = false;
  Recorder recorder{.requests = {}, .reply = bytes_of(answer)};
  const Request request = asked([&] { same = call(); }, recorder);
  CAPTURE(number);
  CHECK(same);
  CHECK(request.number == number);
}

bool can_answer() {
  static const bool can = [] { return with_answers(VHOST_VIRTIO, Recorder{}, [] {}); }();
  if (!can) WARN("skipped: this kernel has no user notifications of seccomp");
  return can;
}

vhost_vring_state state(unsigned index, unsigned num) { return {.index = index, .num = num}; }
vhost_vring_file file(unsigned index, int fd) { return {.index = index, .fd = fd}; }

}  // namespace

TEST_CASE("requests of all devices", "[requests]") {
  if (!can_answer()) return;
  Net net = Net::adopt(any_fd());
  check_get(VHOST_GET_FEATURES, std::uint64_t{0x1'3000'0000},
            [&] { return *net.features() == 0x1'3000'0000; });
  check_set(VHOST_SET_FEATURES, bytes_of(std::uint64_t{1} << 32),
            [&] { return net.set_features(std::uint64_t{1} << 32); });
  check_get(VHOST_GET_BACKEND_FEATURES, std::uint64_t{6},
            [&] { return *net.backend_features() == (kBackendIotlbV2 | kBackendIotlbBatch); });
  check_set(VHOST_SET_BACKEND_FEATURES, bytes_of(std::uint64_t{2}),
            [&] { return net.set_backend_features(kBackendIotlbV2); });
  check_set(VHOST_SET_OWNER, {}, [&] { return net.set_owner(); });
  check_set(VHOST_RESET_OWNER, {}, [&] { return net.reset_owner(); });
  check_set(VHOST_SET_LOG_FD, bytes_of(7), [&] { return net.set_log_event(7); });
  check_set(VHOST_SET_VRING_NUM, bytes_of(state(1, 256)),
            [&] { return net.set_ring_size({.ring = 1, .value = 256}); });
  check_set(VHOST_SET_VRING_BASE, bytes_of(state(1, 0x1234)),
            [&] { return net.set_ring_base({.ring = 1, .value = 0x1234}); });
  check_get(VHOST_GET_VRING_BASE, state(1, 0x1235), [&] { return *net.ring_base(1) == 0x1235; });
  check_set(VHOST_SET_VRING_KICK, bytes_of(file(1, 5)), [&] { return net.set_ring_kick(1, 5); });
  check_set(VHOST_SET_VRING_CALL, bytes_of(file(0, 6)), [&] { return net.set_ring_call(0, 6); });
  check_set(VHOST_SET_VRING_ERR, bytes_of(file(1, -1)), [&] { return net.set_ring_error(1, -1); });
  check_set(VHOST_SET_VRING_BUSYLOOP_TIMEOUT, bytes_of(state(1, 50)),
            [&] { return net.set_busy_loop({.ring = 1, .value = 50}); });
  check_get(VHOST_GET_VRING_BUSYLOOP_TIMEOUT, state(1, 51),
            [&] { return *net.busy_loop(1) == 51; });
  check_set(VHOST_NET_SET_BACKEND, bytes_of(file(1, 9)), [&] { return net.set_backend(1, 9); });
}

TEST_CASE("requests with addresses", "[requests]") {
  if (!can_answer()) return;
  Net net = Net::adopt(any_fd());
  check_set(VHOST_SET_VRING_ADDR,
            bytes_of(vhost_vring_addr{.index = 1,
                                      .flags = 0,
                                      .desc_user_addr = 0x1000,
                                      .used_user_addr = 0x3000,
                                      .avail_user_addr = 0x2000,
                                      .log_guest_addr = 0}),
            [&] {
              return net.set_ring_addresses(
                  1, {.descriptors = 0x1000, .driver = 0x2000, .device = 0x3000});
            });
  check_set(VHOST_SET_VRING_ADDR,
            bytes_of(vhost_vring_addr{.index = 0,
                                      .flags = 1 << VHOST_VRING_F_LOG,
                                      .desc_user_addr = 1,
                                      .used_user_addr = 3,
                                      .avail_user_addr = 2,
                                      .log_guest_addr = 4}),
            [&] {
              return net.set_ring_addresses(
                  0, {.descriptors = 1, .driver = 2, .device = 3, .log = GuestAddress(4)});
            });

  std::vector<std::byte> ram(0x2000);
  const vm_memory::RegionSpan region{GuestAddress(0x8000), ram};
  const auto log = *DirtyLog::create(vm_memory::MemoryView(region));
  check_set(VHOST_SET_LOG_BASE,
            bytes_of(std::uint64_t{reinterpret_cast<std::uintptr_t>(log.data())}),
            [&] { return net.set_log(log); });
  const auto table = *MemoryTable::create(std::span(&region, 1));
  Bytes expected(static_cast<const std::byte*>(table.data()),
                 static_cast<const std::byte*>(table.data()) + table.bytes());
  check_set(VHOST_SET_MEM_TABLE, expected, [&] { return net.set_memory(table); });
}

TEST_CASE("requests of vhost-vsock", "[requests]") {
  if (!can_answer()) return;
  Vsock vsock = Vsock::adopt(any_fd());
  check_set(VHOST_VSOCK_SET_GUEST_CID, bytes_of(std::uint64_t{3}),
            [&] { return vsock.set_guest_cid(3); });
  check_set(VHOST_VSOCK_SET_RUNNING, bytes_of(1), [&] { return vsock.set_running(true); });
  check_set(VHOST_VSOCK_SET_RUNNING, bytes_of(0), [&] { return vsock.set_running(false); });
}

TEST_CASE("requests of vhost-vdpa", "[requests]") {
  if (!can_answer()) return;
  Vdpa vdpa = Vdpa::adopt(any_fd());
  check_get(VHOST_VDPA_GET_DEVICE_ID, std::uint32_t{1}, [&] { return *vdpa.device_id() == 1; });
  check_get(VHOST_VDPA_GET_STATUS, std::uint8_t{11}, [&] { return *vdpa.status() == 11; });
  check_set(VHOST_VDPA_SET_STATUS, bytes_of(std::uint8_t{15}), [&] { return vdpa.set_status(15); });
  check_get(VHOST_VDPA_GET_CONFIG_SIZE, std::uint32_t{60},
            [&] { return *vdpa.config_bytes() == 60; });
  check_set(VHOST_VDPA_SET_CONFIG_CALL, bytes_of(4), [&] { return vdpa.set_config_call(4); });
  check_set(VHOST_VDPA_SET_VRING_ENABLE, bytes_of(state(1, 1)),
            [&] { return vdpa.set_ring_enable({.ring = 1, .value = 1}); });
  check_get(VHOST_VDPA_GET_VRING_NUM, std::uint16_t{256},
            [&] { return *vdpa.max_ring_size() == 256; });
  check_get(VHOST_VDPA_GET_VQS_COUNT, std::uint32_t{3}, [&] { return *vdpa.ring_count() == 3; });
  check_get(VHOST_VDPA_GET_IOVA_RANGE, vhost_vdpa_iova_range{.first = 1, .last = ~0ull}, [&] {
    const auto window = vdpa.iova_window();
    return window->first == Iova(1) && window->last == Iova(~std::uint64_t{0});
  });
  check_get(VHOST_VDPA_GET_GROUP_NUM, std::uint32_t{2}, [&] { return *vdpa.group_count() == 2; });
  check_get(VHOST_VDPA_GET_AS_NUM, std::uint32_t{2},
            [&] { return *vdpa.address_space_count() == 2; });
  check_get(VHOST_VDPA_GET_VRING_GROUP, state(2, 1), [&] { return *vdpa.ring_group(2) == 1; });
  check_set(VHOST_VDPA_SET_GROUP_ASID, bytes_of(state(1, 1)),
            [&] { return vdpa.set_group_address_space({.ring = 1, .value = 1}); });
  check_set(VHOST_VDPA_SUSPEND, {}, [&] { return vdpa.suspend(); });
}

TEST_CASE("a vDPA device's configuration space is read and written", "[requests]") {
  if (!can_answer()) return;
  Vdpa vdpa = Vdpa::adopt(any_fd());
  struct {
    std::uint32_t offset;
    std::uint32_t length;
    std::array<std::byte, 4> bytes;
  } config{.offset = 8, .length = 4, .bytes = {std::byte{1}, std::byte{2}, std::byte{3}}};
  check_get(VHOST_VDPA_GET_CONFIG, config, [&] {
    std::array<std::byte, 4> got{};
    return vdpa.read_config(8, got) && got == config.bytes;
  });
  Bytes written;
  const testing::Answer keep = [&](const testing::AskedIoctl& asked) {
    const auto* const from = reinterpret_cast<const std::byte*>(asked.argument);
    if (asked.request == VHOST_VDPA_SET_CONFIG) written.assign(from, from + sizeof(config));
    return 0;
  };
  REQUIRE(with_answers(VHOST_VIRTIO, keep, [&] { (void)vdpa.write_config(8, config.bytes); }));
  CHECK(written == bytes_of(config));
}

TEST_CASE("what the kernel refuses is an error with its reason", "[requests]") {
  if (!can_answer()) return;
  Net net = Net::adopt(any_fd());
  for (const int error : {EBUSY, EPERM, EFAULT, E2BIG, ENOBUFS}) {
    bool as_it_was = false;
    Recorder recorder{.requests = {}, .reply = {}, .answer = -error};
    (void)asked(
        [&] {
          const auto done = net.set_ring_size({.ring = 0, .value = 8});
          as_it_was = !done && done.error().is_os(error);
        },
        recorder);
    CHECK(as_it_was);
  }
}

// A socket keeps messages apart as the device does.
TEST_CASE("mappings go to the device as messages of the version agreed on", "[requests][iotlb]") {
  if (!can_answer()) return;
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
  const UniqueFd kernel(ends[1]);
  Vdpa vdpa = Vdpa::adopt(UniqueFd(ends[0]));
  const auto sent = [&] {
    IotlbBytes bytes{};
    REQUIRE(::read(kernel.get(), bytes.data(), bytes.size()) == std::ssize(bytes));
    return bytes;
  };
  std::vector<std::byte> ram(0xffff);
  REQUIRE(vdpa.map({.iova = Iova(0xffff'0000), .host = ram}));
  std::uint32_t version = 0;
  std::memcpy(&version, sent().data(), sizeof(version));
  CHECK(version == VHOST_IOTLB_MSG);
  CHECK(vdpa.map({.iova = Iova(0), .host = ram, .address_space = 1}).error().code() ==
        static_cast<int>(VhostError::kNoAddressSpaces));

  REQUIRE(with_answers(VHOST_VIRTIO, Recorder{},
                       [&] { (void)vdpa.set_backend_features(kBackendIotlbV2); }));
  REQUIRE(vdpa.map({.iova = Iova(0xffff'0000), .host = ram, .address_space = 1}));
  CHECK(*decode(sent()) == IotlbMessage{.kind = IotlbKind::kUpdate,
                                        .iova = Iova(0xffff'0000),
                                        .bytes = 0xffff,
                                        .host = reinterpret_cast<std::uintptr_t>(ram.data()),
                                        .access = vm_memory::Access::kReadWrite,
                                        .address_space = 1});
  REQUIRE(vdpa.unmap(Iova(0xffff'0000), 0xffff, 1));
  CHECK(decode(sent())->kind == IotlbKind::kInvalidate);
  CHECK_FALSE(vdpa.map({.iova = Iova(0), .host = {}}));  // no memory
  CHECK_FALSE(vdpa.unmap(Iova(~std::uint64_t{0}), 2));

  CHECK(vdpa.receive_iotlb()->has_value() == false);  // nothing there
  const auto miss = *encode({.kind = IotlbKind::kMiss, .iova = Iova(0x5000)}, IotlbVersion::kV2);
  REQUIRE(::write(kernel.get(), miss.data(), miss.size()) == std::ssize(miss));
  CHECK((*vdpa.receive_iotlb())->iova == Iova(0x5000));
  REQUIRE(::write(kernel.get(), miss.data(), 10) == 10);
  CHECK(vdpa.receive_iotlb().error().code() == static_cast<int>(VhostError::kBadMessage));
}
