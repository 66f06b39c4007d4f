// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <catch2/catch.hpp>
#include <cerrno>
#include <numeric>
#include <type_traits>

#include "errors.h"
#include "run_page.h"
#include "vmm/kvm_ioctls/error.h"

namespace vmm::kvm_ioctls {
namespace {

using testing::kCr8At;
using testing::RunPage;
using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

static_assert(std::is_trivially_copyable_v<VcpuExit>);
static_assert(std::is_trivially_copyable_v<Result<VcpuExit>>);

template <class T>
T decoded(RunPage& page) {
  const auto exit = page.decode();
  REQUIRE(exit);
  INFO(name_of(*exit));
  REQUIRE(std::holds_alternative<T>(*exit));
  return std::get<T>(*exit);
}

bool malformed(RunPage& page) {
  const auto exit = page.decode();
  return !exit && exit.error().code() == static_cast<int>(KvmError::kMalformedExit) &&
         exit.error().domain().name == "kvm";
}

struct Io {
  u8 direction, size;
  u16 port;
  u32 count;
  u64 offset;
};

RunPage io_page(const Io& io) {
  RunPage page(2);
  page.data(0, io.direction).data(1, io.size).data(2, io.port);
  page.data(4, io.count).data(8, io.offset);
  return page;
}

TEST_CASE("a port exit's data is count times size bytes at its offset") {
  RunPage out = io_page({.direction = 1, .size = 4, .port = 0xcfc, .count = 3, .offset = 4096});
  out.put(4096, u64{0x8877665544332211});
  const auto write = decoded<exits::IoOut>(out);
  CHECK(write.port == 0xcfc);
  CHECK(write.item_bytes == 4);
  CHECK(write.count == 3);
  CHECK(write.data.size() == 12);
  CHECK(write.data.data() == out.bytes.data() + 4096);

  RunPage in = io_page({.direction = 0, .size = 1, .port = 0x60, .count = 1, .offset = 4096});
  const auto read = decoded<exits::IoIn>(in);
  CHECK(read.port == 0x60);
  REQUIRE(read.data.size() == 1);
  read.data[0] = std::byte{0x1c};
  CHECK(in.bytes[4096] == std::byte{0x1c});
}

TEST_CASE("a port exit that does not fit into the mapping is refused", "[hostile]") {
  struct Row {
    const char* name;
    Io io;
    bool ok;
  };
  const Row rows[] = {
      {"up to the end", {1, 1, 0, 8192, 4096}, true},
      {"one byte too far", {1, 1, 0, 8193, 4096}, false},
      {"offset at the end, no data", {1, 1, 0, 0, 12288}, true},
      {"offset past the end", {1, 1, 0, 0, 12289}, false},
      {"the largest count and size", {0, 255, 0, 0xffffffff, 4096}, false},
      {"an offset that wraps", {0, 1, 0, 1, ~u64{0}}, false},
      {"an offset that wraps with its length", {0, 1, 0, 64, ~u64{0} - 32}, false},
      {"no such direction", {2, 1, 0, 1, 4096}, false},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    RunPage page = io_page(row.io);
    CHECK(page.decode().has_value() == row.ok);
    if (!row.ok) CHECK(malformed(page));
  }
}

TEST_CASE("an MMIO exit's data is the first len bytes of its field") {
  RunPage page(6);
  page.data(0, u64{0xfee00000}).data(8, u64{0x0807060504030201}).data(16, u32{4});
  page.data(20, u8{1});
  const auto write = decoded<exits::MmioWrite>(page);
  CHECK(write.address == GuestAddress(0xfee00000));
  REQUIRE(write.data.size() == 4);
  CHECK(write.data[3] == std::byte{4});

  page.data(20, u8{0}).data(16, u32{8});
  const auto read = decoded<exits::MmioRead>(page);
  REQUIRE(read.data.size() == 8);
  read.data[7] = std::byte{0xab};
  CHECK(page.get<u8>(15) == 0xab);
}

TEST_CASE("an MMIO exit of more than 8 bytes is refused", "[hostile]") {
  for (const u32 bytes : {9u, 16u, 0xffffffffu}) {
    RunPage page(6);
    page.data(16, bytes);
    CHECK(malformed(page));
  }
}

TEST_CASE("exits without data are told apart") {
  RunPage page(0);
  const auto is = [&page](u32 reason, auto alternative) {
    page.put(testing::kReasonAt, reason);
    decoded<decltype(alternative)>(page);
  };
  is(5, exits::Hlt{});
  is(7, exits::IrqWindowOpen{});
  is(8, exits::Shutdown{});
  is(10, exits::Interrupted{});
  is(16, exits::Nmi{});
  is(21, exits::Watchdog{});
  is(31, exits::DirtyRingFull{});
  is(32, exits::ApResetHold{});
  is(33, exits::BusLock{});
}

TEST_CASE("exits with a few numbers carry them") {
  RunPage exception(1);
  exception.data(0, u32{13}).data(4, u32{0x18});
  CHECK(decoded<exits::Exception>(exception).vector == 13);
  CHECK(decoded<exits::Exception>(exception).error_code == 0x18);

  RunPage entry(9);
  entry.data(0, u64{0x80000021}).data(8, u32{3});
  CHECK(decoded<exits::FailEntry>(entry).hardware_reason == 0x80000021);
  CHECK(decoded<exits::FailEntry>(entry).cpu == 3);

  RunPage tpr(11);
  tpr.put(kCr8At, u64{5});
  CHECK(decoded<exits::SetTpr>(tpr).cr8 == 5);

  RunPage access(12);
  access.data(0, u64{0x1234}).data(8, u32{1});
  CHECK(decoded<exits::TprAccess>(access).rip == 0x1234);
  CHECK(decoded<exits::TprAccess>(access).is_write);

  RunPage eoi(26);
  eoi.data(0, u8{0x31});
  CHECK(decoded<exits::IoapicEoi>(eoi).vector == 0x31);

  RunPage notify(37);
  CHECK_FALSE(decoded<exits::Notify>(notify).context_invalid);
  notify.data(0, u32{1});
  CHECK(decoded<exits::Notify>(notify).context_invalid);

  RunPage fault(39);
  fault.data(0, u64{8}).data(8, u64{0x7000}).data(16, u64{0x1000});
  CHECK(decoded<exits::MemoryFault>(fault).flags == exits::MemoryFault::kPrivate);
  CHECK(decoded<exits::MemoryFault>(fault).address == GuestAddress(0x7000));
  CHECK(decoded<exits::MemoryFault>(fault).bytes == 0x1000);

  RunPage nisv(28);
  nisv.data(0, u64{0x40}).data(8, u64{0x9000000});
  CHECK(decoded<exits::ArmNisv>(nisv).esr_iss == 0x40);
  CHECK(decoded<exits::ArmNisv>(nisv).fault_address == GuestAddress(0x9000000));

  RunPage sea(41);
  sea.data(0, u64{1}).data(8, u64{2}).data(16, u64{3}).data(24, u64{4});
  CHECK(decoded<exits::ArmSea>(sea).flags == exits::ArmSea::kAddressValid);
  CHECK(decoded<exits::ArmSea>(sea).esr == 2);
  CHECK(decoded<exits::ArmSea>(sea).virtual_address == 3);
  CHECK(decoded<exits::ArmSea>(sea).address == GuestAddress(4));
}

TEST_CASE("after a failed run the exit reason counts for a memory fault only", "[hostile]") {
  RunPage fault(39);
  fault.data(0, exits::MemoryFault::kPrivate).data(8, u64{0x7000}).data(16, u64{0x1000});
  for (const int error : {EFAULT, EHWPOISON}) {
    const auto exit = decode_failed_run(fault.bytes, error);
    REQUIRE(exit);
    REQUIRE(std::holds_alternative<exits::MemoryFault>(*exit));
    CHECK(std::get<exits::MemoryFault>(*exit).address == GuestAddress(0x7000));
  }
  RunPage stale(5);  // a halt, long answered
  for (RunPage* page : {&fault, &stale}) {
    for (const int error : {EINVAL, ENOMEM, EBADF, EFAULT, EHWPOISON}) {
      if (page == &fault && (error == EFAULT || error == EHWPOISON)) continue;
      INFO(error);
      const auto exit = decode_failed_run(page->bytes, error);
      REQUIRE_FALSE(exit);
      CHECK(exit.error().is_os(error));
    }
    for (const int error : {EINTR, EAGAIN}) {
      const auto exit = decode_failed_run(page->bytes, error);
      REQUIRE(exit);
      CHECK(std::holds_alternative<exits::Interrupted>(*exit));
    }
  }
}

TEST_CASE("a system event exposes exactly ndata words, and never more than 16") {
  RunPage page(24);
  page.data(0, u32{1}).data(4, u32{2}).data(8, u64{7}).data(16, u64{9});
  const auto event = decoded<exits::SystemEvent>(page);
  CHECK(event.type == exits::SystemEvent::kShutdown);
  REQUIRE(event.data.size() == 2);
  CHECK(event.data[0] == 7);
  CHECK(event.data[1] == 9);
  for (const u32 count : {0u, 1u, 16u, 17u, 0xffffffffu}) {
    page.data(4, count);
    CHECK(decoded<exits::SystemEvent>(page).data.size() == std::min(count, 16u));
  }
}

TEST_CASE("an internal error gives its words, and the instruction when KVM has it") {
  RunPage page(17);
  page.data(0, u32{1}).data(4, u32{3}).data(8, u64{1});
  page.data(16, u8{4}).data(17, u32{0x04030201});
  const auto error = decoded<exits::InternalError>(page);
  CHECK(error.suberror == exits::InternalError::kEmulation);
  CHECK(error.data.size() == 3);
  REQUIRE(error.instruction().size() == 4);
  CHECK(error.instruction()[0] == std::byte{1});

  page.data(16, u8{200});  // longer than any instruction
  CHECK(decoded<exits::InternalError>(page).instruction().size() == 15);
  page.data(4, u32{2});  // not all of it was reported
  CHECK(decoded<exits::InternalError>(page).instruction().empty());
  page.data(4, u32{0xffffffff});
  CHECK(decoded<exits::InternalError>(page).data.size() == 16);
  page.data(8, u64{0});  // no flag
  CHECK(decoded<exits::InternalError>(page).instruction().empty());
  page.data(8, u64{1}).data(0, u32{3});  // another suberror
  CHECK(decoded<exits::InternalError>(page).instruction().empty());
}

TEST_CASE("answers to hypercalls, MSRs and SBI calls land where KVM reads them") {
  RunPage call(3);
  call.data(0, u64{12});
  for (u64 i = 0; i < 6; ++i) call.data(8 + 8 * i, 100 + i);
  call.data(64, u32{1});
  const auto hypercall = decoded<exits::Hypercall>(call);
  CHECK(hypercall.number == 12);
  CHECK(hypercall.arguments[0] == 100);
  CHECK(hypercall.arguments[5] == 105);
#if defined(__aarch64__)
  CHECK((hypercall.by_smc && !hypercall.long_mode));
#else
  CHECK((hypercall.long_mode && !hypercall.by_smc));
#endif
  *hypercall.result = 0x55;
  CHECK(call.get<u64>(56) == 0x55);

  RunPage read(29);
  read.data(8, u32{2}).data(12, u32{0x10a});
  const auto rdmsr = decoded<exits::Rdmsr>(read);
  CHECK(rdmsr.reason == exits::MsrReason::kUnknown);
  CHECK(rdmsr.index == 0x10a);
  *rdmsr.data = 0x1122;
  *rdmsr.error = 1;
  CHECK(read.get<u64>(16) == 0x1122);
  CHECK(read.get<u8>(0) == 1);

  RunPage write(30);
  write.data(8, u32{4}).data(12, u32{0x1b}).data(16, u64{0xfee00900});
  const auto wrmsr = decoded<exits::Wrmsr>(write);
  CHECK(wrmsr.reason == exits::MsrReason::kFilter);
  CHECK(wrmsr.data == 0xfee00900);
  *wrmsr.error = 1;
  CHECK(write.get<u8>(0) == 1);

  RunPage sbi(35);
  sbi.data(0, u64{0x10}).data(8, u64{3}).data(16, u64{42});
  const auto sbi_call = decoded<exits::RiscvSbi>(sbi);
  CHECK(sbi_call.extension == 0x10);
  CHECK(sbi_call.function == 3);
  CHECK(sbi_call.arguments[0] == 42);
  sbi_call.results[1] = 7;
  CHECK(sbi.get<u64>(72) == 7);

  RunPage csr(36);
  csr.data(0, u64{0x15}).data(8, u64{2}).data(16, u64{3});
  const auto access = decoded<exits::RiscvCsr>(csr);
  CHECK(access.csr == 0x15);
  CHECK(access.new_value == 2);
  CHECK(access.write_mask == 3);
  *access.result = 8;
  CHECK(csr.get<u64>(24) == 8);
}

TEST_CASE("Hyper-V, Xen and TDX exits are decoded by their type") {
  RunPage synic(27);
  synic.data(0, u32{1}).data(8, u32{0x40000080}).data(16, u64{1}).data(24, u64{2});
  synic.data(32, u64{3});
  CHECK(decoded<exits::HypervSynic>(synic).msr == 0x40000080);
  CHECK(decoded<exits::HypervSynic>(synic).message_page == 3);

  RunPage hcall(27);
  hcall.data(0, u32{2}).data(8, u64{0x5c}).data(24, u64{11}).data(32, u64{12});
  const auto hyperv = decoded<exits::HypervHcall>(hcall);
  CHECK(hyperv.input == 0x5c);
  CHECK(hyperv.parameters[1] == 12);
  *hyperv.result = 2;
  CHECK(hcall.get<u64>(16) == 2);

  RunPage debugger(27);
  debugger.data(0, u32{3}).data(8, u32{0x400000f1}).data(32, u64{5}).data(48, u64{6});
  const auto syndbg = decoded<exits::HypervSyndbg>(debugger);
  CHECK(syndbg.pages[0] == 5);
  CHECK(syndbg.pages[2] == 6);
  *syndbg.status = 9;
  CHECK(debugger.get<u64>(24) == 9);

  RunPage xen(34);
  xen.data(0, u32{1}).data(8, u32{1}).data(12, u32{3}).data(16, u64{29}).data(32, u64{4});
  const auto xen_call = decoded<exits::XenHcall>(xen);
  CHECK(xen_call.long_mode);
  CHECK(xen_call.cpl == 3);
  CHECK(xen_call.input == 29);
  CHECK(xen_call.parameters[0] == 4);
  *xen_call.result = 1;
  CHECK(xen.get<u64>(24) == 1);

  RunPage tdx(40);
  tdx.data(0, u64{1}).data(8, u64{0x10002}).data(24, u64{0x8000}).data(32, u64{0x2000});
  const auto tdx_call = decoded<exits::Tdx>(tdx);
  CHECK(tdx_call.number == exits::Tdx::kGetQuote);
  CHECK(tdx_call.words[0] == 0x8000);
  CHECK(tdx_call.words[1] == 0x2000);
  *tdx_call.result = 0x8000000000000000;
  CHECK(tdx.get<u64>(16) == 0x8000000000000000);
}

TEST_CASE("unknown exits and unknown kinds of known ones are values, not failures", "[hostile]") {
  for (const u32 reason : {0u, 13u, 14u, 15u, 18u, 19u, 20u, 22u, 23u, 25u, 38u, 42u, 999u,
                           0x80000000u, 0xffffffffu}) {
    RunPage page(reason);
    page.data(0, u64{0xabc});
    CHECK(decoded<exits::Unknown>(page).reason == reason);
    CHECK(decoded<exits::Unknown>(page).hardware_reason == 0xabc);
  }
  RunPage hyperv(27);
  hyperv.data(0, u32{77});
  CHECK(decoded<exits::Unknown>(hyperv).reason == 27);
  RunPage xen(34);
  xen.data(0, u32{77});
  CHECK(decoded<exits::Unknown>(xen).reason == 34);
}

#if defined(__x86_64__)
TEST_CASE("a debug exit carries the address and the debug registers") {
  RunPage page(4);
  page.data(0, u32{1}).data(8, u64{0x1003}).data(16, u64{0xffff4ff0}).data(24, u64{0x400});
  const auto debug = decoded<exits::Debug>(page);
  CHECK(debug.exception == 1);
  CHECK(debug.pc == 0x1003);
  CHECK(debug.dr6 == 0xffff4ff0);
  CHECK(debug.dr7 == 0x400);
}
#endif

TEST_CASE("every exit has a name") {
  CHECK(std::string_view(name_of(exits::IoOut{})) == "port write");
  CHECK(std::string_view(name_of(exits::Interrupted{})) == "interrupted");
  CHECK(std::string_view(name_of(exits::DirtyRingFull{})) == "dirty ring full");
  CHECK(std::string_view(name_of(exits::HypervHcall{
            0, std::span<const u64, 2>(std::array<u64, 2>{}), nullptr})) == "Hyper-V hypercall");
  CHECK(std::string_view(name_of(exits::Unknown{})) == "unknown exit");
}

TEST_CASE("every error of the library reads as a sentence") { check_words(KvmError::kNoFreeSlot); }

}  // namespace
}  // namespace vmm::kvm_ioctls
