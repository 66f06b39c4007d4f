// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Memory that migrates: what the device writes there is logged, and pages may come later than it.

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "backend_rig.h"
#include "vmm/virtio_device/testing/echo_device.h"

namespace vmm::vhost_user_backend {
namespace {

using vhost_user::MessageError;
using vhost_user::ProtocolFeature;
using virtio_device::testing::EchoDevice;

bool is(const Error& error, MessageError wanted) {
  const Error other = make_error(wanted);
  return &error.domain() == &other.domain() && error.code() == other.code();
}

struct Rig {
  explicit Rig(const Setup& setup = {}) : guest(process.connect(), 2, setup) {}

  std::shared_ptr<EchoDevice> device = std::make_shared<EchoDevice>();
  Process process{device};
  Guest guest;
};

template <class Condition>
bool soon(Condition condition) {
  for (int i = 0; i < 2000; ++i) {
    if (condition()) return true;
    ::usleep(1000);
  }
  return false;
}

TEST_CASE("what a device writes is in the log of a migration", "[backend]") {
  Rig rig;
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

TEST_CASE("memory may arrive while the device runs", "[backend][postcopy]") {
  Rig rig;
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
  REQUIRE(Guest::readable(faults->get(), 5000));
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
    REQUIRE(Guest::readable(faults.get(), 5000));
    if (closes_faults) faults.reset();
  }
  CHECK(soon([&] { return !process.serving(); }));
  Guest next(process.connect(), 2, {});
  next.start();
  CHECK(next.echo(0, "b") == "b");
}

}  // namespace
}  // namespace vmm::vhost_user_backend
