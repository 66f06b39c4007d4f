// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Memory that migrates: what the device writes there is logged, and pages may come later than it.

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "echo_rig.h"
#include "soon.h"
#include "vmm/sys_util/fd_passing.h"
#include "vmm/sys_util/temp_directory.h"

namespace vmm::vhost_user_backend {
namespace {

using vhost_user::MessageError;
using vhost_user::ProtocolFeature;
using virtio_device::testing::EchoDevice;

TEST_CASE("what a device writes is in the log of a migration", "[backend]") {
  EchoRig rig;
  rig.guest.start();
  CHECK(rig.guest.echo(0, "a") == "a");
  const auto log = *sys_util::MemFd::create(4096);
  REQUIRE(rig.guest.frontend().set_log_base({.bytes = 64}, log.fd()));
  CHECK(is(rig.guest.frontend().set_log_base({.bytes = 16}, log.fd()).error(),
           MessageError::kRefused));
  REQUIRE(rig.guest.frontend().set_features(rig.guest.features() | vhost_user::kFeatureLogAll));
  auto addresses = rig.guest.addresses(0);
  addresses.flags = vhost_user::VringAddresses::kLog;
  addresses.log = rig.guest.shape(0).rings.device.raw();
  REQUIRE(rig.guest.frontend().set_vring_addr(addresses));
  CHECK(rig.guest.echo(0, "b") == "b");
  REQUIRE(rig.guest.frontend().get_vring_base(0));
  std::array<std::uint8_t, 32> bits{};
  REQUIRE(::pread(log.fd(), bits.data(), bits.size(), 0) == static_cast<ssize_t>(bits.size()));
  const auto dirty = [&](std::uint64_t address) {
    const std::uint64_t page = address / 4096;
    return (bits[page / 8] >> page % 8 & 1) != 0;
  };
  CHECK(dirty(0x8'1000));                               // the answer
  CHECK(dirty(rig.guest.shape(0).rings.device.raw()));  // the used ring
  CHECK_FALSE(dirty(0x8'0000));                         // what was read
  CHECK_FALSE(dirty(rig.guest.shape(0).rings.driver.raw()));
}

TEST_CASE("the log of a migration that has ended does not bind the memory after it", "[backend]") {
  EchoRig rig;
  rig.guest.start();
  vhost_user::Frontend& frontend = rig.guest.frontend();
  const auto log = *sys_util::MemFd::create(4096);
  REQUIRE(frontend.set_log_base({.bytes = 32}, log.fd()));
  REQUIRE(frontend.set_features(rig.guest.features() | vhost_user::kFeatureLogAll));
  CHECK(rig.guest.echo(0, "a") == "a");
  REQUIRE(frontend.set_features(rig.guest.features()));
  std::array<std::uint8_t, 32> bits{};
  REQUIRE(::pread(log.fd(), bits.data(), bits.size(), 0) == static_cast<ssize_t>(bits.size()));
  CHECK((bits[0x81 / 8] >> 0x81 % 8 & 1) != 0);  // nothing is left for nobody
  const auto more = *sys_util::MemFd::create(4096);
  const vhost_user::MemoryRegion region{.guest_address = 0x1000'0000,
                                        .bytes = 4096,
                                        .user_address = kUser + 0x1000'0000,
                                        .mmap_offset = 0};
  CHECK(frontend.add_region(region, more.fd()));
  CHECK(frontend.set_features(rig.guest.features()));
  CHECK(rig.guest.echo(0, "b") == "b");
  // Nor does one that was told and never used.
  REQUIRE(frontend.remove_region(region));
  REQUIRE(frontend.set_log_base({.bytes = 32}, log.fd()));
  CHECK(frontend.add_region(region, more.fd()));
  CHECK(rig.process.serving());
}

constexpr vhost_user::MemoryRegion kFar{.guest_address = 0x1000'0000,
                                        .bytes = 4096,
                                        .user_address = kUser + 0x1000'0000,
                                        .mmap_offset = 0};

TEST_CASE("features that are refused change nothing, and the device runs on", "[backend]") {
  EchoRig rig;
  rig.guest.start();
  vhost_user::Frontend& frontend = rig.guest.frontend();
  const auto log = *sys_util::MemFd::create(4096);
  const auto more = *sys_util::MemFd::create(4096);
  REQUIRE(frontend.set_log_base({.bytes = 32}, log.fd()));
  REQUIRE(frontend.add_region(kFar, more.fd()));
  CHECK(rig.guest.echo(0, "a") == "a");
  const auto logged = frontend.set_features(rig.guest.features() | vhost_user::kFeatureLogAll);
  CHECK(is(logged.error(), MessageError::kRefused));
  CHECK(rig.guest.echo(0, "b") == "b");
  std::array<std::uint8_t, 32> bits{};
  REQUIRE(::pread(log.fd(), bits.data(), bits.size(), 0) == 32);
  CHECK(bits == std::array<std::uint8_t, 32>{});  // nor is anything logged
  REQUIRE(frontend.remove_region(kFar));
  CHECK(frontend.set_features(rig.guest.features() | vhost_user::kFeatureLogAll));
  CHECK(rig.guest.echo(0, "c") == "c");
}

TEST_CASE("memory that the log has no place for is refused, and not kept", "[backend]") {
  EchoRig rig;
  rig.guest.start();
  vhost_user::Frontend& frontend = rig.guest.frontend();
  const auto log = *sys_util::MemFd::create(16384);
  const auto more = *sys_util::MemFd::create(4096);
  REQUIRE(frontend.set_log_base({.bytes = 32}, log.fd()));
  REQUIRE(frontend.set_features(rig.guest.features() | vhost_user::kFeatureLogAll));
  CHECK(is(frontend.add_region(kFar, more.fd()).error(), MessageError::kRefused));
  const vhost_user::MemoryRegion ram{.bytes = kRamBytes, .user_address = kUser};
  const std::array regions{ram, kFar};
  const std::array fds{rig.guest.ram_fd(), more.fd()};
  CHECK(is(frontend.set_mem_table(regions, fds).error(), MessageError::kRefused));
  CHECK(rig.guest.echo(0, "a") == "a");
  REQUIRE(frontend.set_log_base({.bytes = 8193}, log.fd()));
  CHECK(frontend.add_region(kFar, more.fd()));  // it overlaps nothing of before
  CHECK(rig.guest.echo(0, "b") == "b");
}

TEST_CASE("what a device writes while its memory is told anew is in the log", "[backend]") {
  EchoRig rig;
  rig.guest.start();
  const auto log = *sys_util::MemFd::create(4096);
  REQUIRE(rig.guest.frontend().set_log_base({.bytes = 32}, log.fd()));
  REQUIRE(rig.guest.frontend().set_features(rig.guest.features() | vhost_user::kFeatureLogAll));
  REQUIRE(rig.guest.echo(0, "a") == "a");
  const std::array<std::uint8_t, 32> clean{};
  rig.device->hold(true);
  rig.guest.offer(0, "b", 0x9'0000);
  rig.guest.kick(0);
  const bool held = soon([&] { return rig.device->holding() == 1; });
  REQUIRE(::pwrite(log.fd(), clean.data(), clean.size(), 0) == 32);
  std::thread release([&] {
    ::usleep(100'000);  // so long that the front end's message has come
    rig.device->hold(false);
  });
  rig.guest.share_memory();
  release.join();
  CHECK(held);
  CHECK(rig.guest.answer(0, kPatienceMs, 0x9'0000) == "b");
  CHECK(rig.guest.echo(1, "c") == "c");  // it goes on
  REQUIRE(rig.guest.frontend().get_vring_base(0));
  std::array<std::uint8_t, 32> bits{};
  REQUIRE(::pread(log.fd(), bits.data(), bits.size(), 0) == 32);
  CHECK((bits[0x91 / 8] >> 0x91 % 8 & 1) != 0);
}

TEST_CASE("memory may arrive while the device runs", "[backend][postcopy]") {
  EchoRig rig;
  rig.guest.negotiate();
  vhost_user::Frontend& frontend = rig.guest.frontend();
  if (!frontend.has(ProtocolFeature::kPagefault)) {
    WARN("no userfaultfd for us on this machine");
    return;
  }
  CHECK(is(frontend.postcopy_listen().error(), MessageError::kRefused));  // not advised
  const auto faults = frontend.postcopy_advise();
  REQUIRE(faults);
  REQUIRE(frontend.postcopy_listen());
  const vhost_user::MemoryRegion region{.bytes = kRamBytes, .user_address = kUser};
  const int fd = rig.guest.ram_fd();
  std::uint64_t base = 0;
  REQUIRE(frontend.set_mem_table_for_postcopy({&region, 1}, {&fd, 1}, [&](auto bases) {
    base = bases[0].user_address;
    return Result<void>();
  }));
  rig.guest.set_up_ring(0, 0);
  rig.guest.enable(0);
  rig.guest.driver_ok();
  rig.guest.offer(0, "a");
  rig.guest.kick(0);
  // The page of the answer is nowhere yet: the device waits for it.
  REQUIRE(Guest::readable(faults->get()));
  uffd_msg fault{};
  REQUIRE(::read(faults->get(), &fault, sizeof(fault)) == sizeof(fault));
  CHECK(fault.event == UFFD_EVENT_PAGEFAULT);
  CHECK((fault.arg.pagefault.address & ~std::uint64_t{4095}) == base + 0x8'1000);
  CHECK_FALSE(rig.guest.answer(0, 20));
  uffdio_zeropage page{};
  page.range.start = base + 0x8'1000;
  page.range.len = 4096;
  REQUIRE(::ioctl(faults->get(), UFFDIO_ZEROPAGE, &page) == 0);
  CHECK(rig.guest.answer(0) == "a");
  CHECK(frontend.postcopy_end());
}

TEST_CASE("memory whose pages cannot be waited for is not taken", "[backend][postcopy][hostile]") {
  EchoRig rig;
  rig.guest.negotiate();
  vhost_user::Frontend& frontend = rig.guest.frontend();
  if (!frontend.has(ProtocolFeature::kPagefault)) return;
  REQUIRE(frontend.postcopy_advise());
  REQUIRE(frontend.postcopy_listen());
  // The second region is of a file system on a disk, or of none that a userfaultfd knows.
  const auto folder = *sys_util::TempDirectory::create();
  const UniqueFd file(::open((folder.path() + "/ram").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  REQUIRE(::ftruncate(file.get(), kRamBytes) == 0);
  const std::array<vhost_user::MemoryRegion, 2> regions{
      {{.bytes = kRamBytes, .user_address = kUser},
       {.guest_address = kRamBytes, .bytes = kRamBytes, .user_address = kUser + kRamBytes}}};
  const std::array<int, 2> fds{rig.guest.ram_fd(), file.get()};
  // One that wants an acknowledgement goes on after a refusal.
  const vhost_user::MemoryTableHeader table{.count = 2};
  const auto all = std::as_bytes(std::span(regions));
  const vhost_user::Header header{
      .request = static_cast<std::uint32_t>(vhost_user::FrontendCode::kSetMemTable),
      .flags = vhost_user::kVersion | vhost_user::kNeedReply,
      .size = static_cast<std::uint32_t>(sizeof(table) + all.size())};
  const std::array<std::span<const std::byte>, 3> parts{bytes_of(header), bytes_of(table), all};
  REQUIRE(sys_util::send_with_fds(frontend.fd(), parts, fds));
  REQUIRE(Guest::readable(frontend.fd()));
  struct Answer {
    vhost_user::Header header;
    std::array<std::uint32_t, 2> value;
  } answer{};
  REQUIRE(::recv(frontend.fd(), &answer, sizeof(answer), 0) == sizeof(answer));
  if (answer.header.size != sizeof(answer.value)) {
    WARN("the disk's files are in shared memory on this machine");
    return;
  }
  CHECK(answer.value[0] != 0);
  CHECK(frontend.postcopy_listen());  // refused where there is memory
}

TEST_CASE("a front end that goes while the device waits for its memory ends that",
          "[backend][postcopy]") {
  const bool closes_faults = GENERATE(true, false);
  const auto device = std::make_shared<EchoDevice>();
  Process process(device);
  UniqueFd faults;
  {
    Guest guest(process.connect(), 2, {});
    guest.negotiate();
    if (!guest.frontend().has(ProtocolFeature::kPagefault)) return;
    faults = *guest.frontend().postcopy_advise();
    REQUIRE(guest.frontend().postcopy_listen());
    const vhost_user::MemoryRegion region{.bytes = kRamBytes, .user_address = kUser};
    const int fd = guest.ram_fd();
    REQUIRE(guest.frontend().set_mem_table_for_postcopy({&region, 1}, {&fd, 1},
                                                        [](auto) { return Result<void>(); }));
    guest.set_up_ring(0, 0);
    guest.enable(0);
    guest.driver_ok();
    guest.offer(0, "a");
    guest.kick(0);
    REQUIRE(Guest::readable(faults.get()));
    if (closes_faults) faults.reset();
  }
  CHECK(soon([&] { return !process.serving(); }));
  Guest next(process.connect(), 2, {});
  next.start();
  CHECK(next.echo(0, "b") == "b");
}

}  // namespace
}  // namespace vmm::vhost_user_backend
