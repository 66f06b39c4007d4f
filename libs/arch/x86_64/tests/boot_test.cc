// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// What the kernel finds in memory and registers: zero page, PVH, descriptor and page tables, MSRs,
// local APIC.

#include <catch2/catch.hpp>
#include <string_view>
#include <vector>

#include "vmm/arch/x86_64/boot_params.h"
#include "vmm/arch/x86_64/lapic.h"
#include "vmm/arch/x86_64/pvh.h"
#include "vmm/arch/x86_64/registers.h"
#include "vmm/base/endian.h"

namespace vmm::arch::x86_64 {
namespace {

using vm_memory::MemoryError;
using vm_memory::MemoryView;
using vm_memory::RegionSpan;

/// One MiB of RAM that starts with garbage.
class Ram {
 public:
  explicit Ram(std::size_t bytes = 0x10'0000) : bytes_(bytes, std::byte{0xcc}) {}
  [[nodiscard]] MemoryView view() const { return MemoryView(region_); }
  template <class T>
  [[nodiscard]] T at(GuestAddress address) const {
    return load_le<T>(&bytes_[address.raw()]);
  }
  template <class T>
  [[nodiscard]] T at(GuestAddress address, std::size_t offset) const {
    return load_le<T>(&bytes_[address.raw() + offset]);
  }

 private:
  std::vector<std::byte> bytes_;
  RegionSpan region_{GuestAddress(0), bytes_};
};

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

std::vector<std::byte> setup_header(std::size_t size = 0x268 - kSetupHeaderAt) {
  std::vector<std::byte> header(size, std::byte{0x11});
  store_le(&header[0x1fe - kSetupHeaderAt], u16{0xaa55});
  store_le(&header[0x202 - kSetupHeaderAt], u32{0x5372'6448});
  return header;
}

const MapEntry kMap[] = {{{GuestAddress(0), 0xa0000}, MapType::kRam},
                         {{GuestAddress(0xe800'0000), 0x1000}, MapType::kReserved}};

TEST_CASE("the zero page takes the setup header and the boot loader's fields", "[zero_page]") {
  const Ram ram;
  const auto header = setup_header();
  const BootParams params{.setup_header = header,
                          .cmdline = kCmdline,
                          .initrd = {GuestAddress(0x1'2345'6000), 0x2'0000'0042},
                          .rsdp = kRsdp,
                          .map = kMap};
  REQUIRE(write_boot_params(ram.view(), params).has_value());
  const auto field = [&](auto type, std::size_t offset) {
    return ram.at<decltype(type)>(kZeroPage, offset);
  };
  CHECK(field(u8{}, 0x1f1) == 0x11);  // of the file
  CHECK(field(u8{}, 0x267) == 0x11);
  CHECK(field(u8{}, 0x268) == 0);  // behind it
  CHECK(field(u8{}, 0x1ef) == 0);  // the sentinel
  CHECK(field(u16{}, 0x1fe) == 0xaa55);
  CHECK(field(u8{}, 0x210) == 0xff);
  CHECK(field(u32{}, 0x218) == 0x2345'6000);
  CHECK(field(u32{}, 0x0c0) == 1);
  CHECK(field(u32{}, 0x21c) == 0x42);
  CHECK(field(u32{}, 0x0c4) == 2);
  CHECK(field(u32{}, 0x228) == kCmdline.raw());
  CHECK(field(u32{}, 0x0c8) == 0);
  CHECK(field(u64{}, 0x250) == 0);  // the file does not name setup data
  CHECK(field(u64{}, 0x070) == kRsdp.raw());
  CHECK(field(u8{}, 0x1e8) == 2);
  CHECK(field(u64{}, 0x2d0) == 0);
  CHECK(field(u64{}, 0x2d8) == 0xa0000);
  CHECK(field(u32{}, 0x2e0) == 1);
  CHECK(field(u64{}, 0x2e4) == 0xe800'0000);
  CHECK(field(u32{}, 0x2f4) == 2);
  CHECK(field(u64{}, 0x2f8) == 0);
}

TEST_CASE("a kernel without a setup header gets a minimal one", "[zero_page]") {
  const auto page = make_zero_page({.initrd = {GuestAddress(0x1000), 0}});
  REQUIRE(page.has_value());
  CHECK(load_le<u16>(&(*page)[0x1fe]) == 0xaa55);
  CHECK(load_le<u32>(&(*page)[0x202]) == 0x5372'6448);
  CHECK(load_le<u8>(&(*page)[0x210]) == 0xff);
  CHECK(load_le<u32>(&(*page)[0x230]) == 0x100'0000);
  CHECK(load_le<u32>(&(*page)[0x218]) == 0);  // an initrd of size 0 is none
}

TEST_CASE("damaged setup headers and too long maps are refused", "[zero_page][hostile]") {
  const auto refused = [](const std::vector<std::byte>& header) {
    const auto page = make_zero_page({.setup_header = header});
    return !page && page.error() == ArchError::kBadSetupHeader;
  };
  CHECK_FALSE(refused(setup_header()));
  CHECK_FALSE(refused(setup_header(kSetupHeaderMaxBytes)));
  CHECK(refused(setup_header(kSetupHeaderMaxBytes + 1)));
  CHECK_FALSE(refused(setup_header(0x22c - kSetupHeaderAt)));
  CHECK(refused(setup_header(0x22b - kSetupHeaderAt)));
  CHECK(refused(std::vector<std::byte>(1)));
  auto header = setup_header();
  header[0x1fe - kSetupHeaderAt] = std::byte{0};
  CHECK(refused(header));
  header = setup_header();
  header[0x202 - kSetupHeaderAt] = std::byte{0};
  CHECK(refused(header));

  const std::vector<MapEntry> map(kMaxE820Entries + 1);
  CHECK(make_zero_page({.map = map}).error() == ArchError::kTooManyMapEntries);
  CHECK(make_zero_page({.map = std::span(map).first(kMaxE820Entries)}).has_value());
}

TEST_CASE("PVH start information leads to map, modules, command line and RSDP", "[pvh]") {
  const Ram ram;
  const PvhModule modules[] = {{{GuestAddress(0x200'0000), 0x1234}, GuestAddress(0)},
                               {{GuestAddress(0x300'0000), 0x10}, GuestAddress(0x1'0000)}};
  REQUIRE(
      write_pvh(ram.view(), {.cmdline = kCmdline, .rsdp = kRsdp, .map = kMap, .modules = modules})
          .has_value());
  const GuestAddress info = kPvhStartInfo;
  CHECK(ram.at<u32>(info, 0) == 0x336e'c578);
  CHECK(ram.at<u32>(info, 4) == 1);
  CHECK(ram.at<u32>(info, 8) == 0);
  CHECK(ram.at<u32>(info, 12) == 2);
  CHECK(ram.at<u64>(info, 16) == kPvhModules.raw());
  CHECK(ram.at<u64>(info, 24) == kCmdline.raw());
  CHECK(ram.at<u64>(info, 32) == kRsdp.raw());
  CHECK(ram.at<u64>(info, 40) == kPvhMemoryMap.raw());
  CHECK(ram.at<u32>(info, 48) == 2);
  CHECK(ram.at<u32>(info, 52) == 0);
  CHECK(ram.at<u64>(kPvhModules, 0) == 0x200'0000);
  CHECK(ram.at<u64>(kPvhModules, 8) == 0x1234);
  CHECK(ram.at<u64>(kPvhModules, 16) == 0);
  CHECK(ram.at<u64>(kPvhModules, 24) == 0);
  CHECK(ram.at<u64>(kPvhModules, 32 + 16) == 0x1'0000);
  CHECK(ram.at<u64>(kPvhMemoryMap, 8) == 0xa0000);
  CHECK(ram.at<u32>(kPvhMemoryMap, 16) == 1);
  CHECK(ram.at<u32>(kPvhMemoryMap, 20) == 0);
  CHECK(ram.at<u64>(kPvhMemoryMap, 24) == 0xe800'0000);
  CHECK(ram.at<u32>(kPvhMemoryMap, 24 + 16) == 2);

  REQUIRE(write_pvh(ram.view(), {}).has_value());  // nothing at all
  CHECK(ram.at<u64>(info, 16) == 0);
  CHECK(ram.at<u64>(info, 40) == 0);
}

TEST_CASE("PVH refuses what its lists do not hold", "[pvh][hostile]") {
  const Ram ram;
  const std::vector<MapEntry> map(kMaxPvhMapEntries + 1);
  const std::vector<PvhModule> modules(kMaxPvhModules + 1);
  const auto full = write_pvh(ram.view(), {.map = map});
  REQUIRE_FALSE(full.has_value());
  CHECK(full.error().code() == static_cast<int>(ArchError::kTooManyMapEntries));
  const auto crowded = write_pvh(ram.view(), {.modules = modules});
  REQUIRE_FALSE(crowded.has_value());
  CHECK(crowded.error().code() == static_cast<int>(ArchError::kTooManyModules));
  CHECK(write_pvh(ram.view(), {.map = std::span(map).first(kMaxPvhMapEntries),
                               .modules = std::span(modules).first(kMaxPvhModules)})
            .has_value());
}

TEST_CASE("without RAM at their places the boot structures report it", "[boot][hostile]") {
  const Ram tiny(0x100);
  CHECK_FALSE(write_pvh(tiny.view(), {.map = kMap}).has_value());
  CHECK_FALSE(write_boot_params(tiny.view(), {}).has_value());
  CHECK_FALSE(write_descriptor_tables(tiny.view(), CodeSize::k32).has_value());
  CHECK_FALSE(write_page_tables(tiny.view()).has_value());
  const auto none = write_pvh(MemoryView(), {});
  REQUIRE_FALSE(none.has_value());
  CHECK(none.error().domain().name == Error(MemoryError::kUnmapped).domain().name);
}

TEST_CASE("PVH starts in flat protected mode without paging", "[registers]") {
  const BootRegisters boot = pvh_registers(GuestAddress(0x100'0000));
  CHECK(boot.regs.rip == 0x100'0000);
  CHECK(boot.regs.rbx == kPvhStartInfo.raw());
  CHECK(boot.regs.rflags == 2);
  CHECK(boot.sregs.cr0 == 0x11);
  CHECK(boot.sregs.cr4 == 0);
  CHECK(boot.sregs.efer == 0);
  CHECK(boot.sregs.cs.db);
  CHECK_FALSE(boot.sregs.cs.l);
  for (const Segment* segment : {&boot.sregs.cs, &boot.sregs.ds, &boot.sregs.es, &boot.sregs.ss}) {
    CHECK(segment->base == 0);
    CHECK(segment->limit == 0xffff'ffff);
    CHECK(segment->present);
    CHECK(segment->s);
    CHECK(segment->granularity);
  }
  CHECK(boot.sregs.tr.limit == 0x67);
  CHECK(boot.sregs.tr.type == 0xb);
  CHECK_FALSE(boot.sregs.tr.s);
  CHECK(boot.fpu.fcw == 0x37f);
  CHECK(boot.fpu.mxcsr == 0x1f80);
}

TEST_CASE("a bzImage starts with its zero page in RSI, in the mode of the entry", "[registers]") {
  const BootRegisters narrow = linux32_registers(GuestAddress(0x10'0000));
  CHECK(narrow.regs.rsi == kZeroPage.raw());
  CHECK(narrow.regs.rip == 0x10'0000);
  CHECK((narrow.regs.rbp | narrow.regs.rdi | narrow.regs.rbx) == 0);
  CHECK(narrow.sregs.cr0 == 0x11);
  CHECK(narrow.sregs.cs.selector == 0x10);
  CHECK(narrow.sregs.ds.selector == 0x18);

  const BootRegisters wide = linux64_registers(GuestAddress(0x10'0200));
  CHECK(wide.regs.rsi == kZeroPage.raw());
  CHECK(wide.sregs.cr0 == 0x8000'0011);
  CHECK(wide.sregs.cr3 == kPml4.raw());
  CHECK(wide.sregs.cr4 == 0x20);
  CHECK(wide.sregs.efer == 0x500);
  CHECK(wide.sregs.cs.l);
  CHECK_FALSE(wide.sregs.cs.db);
}

TEST_CASE("the GDT holds what the segment registers say", "[registers]") {
  const Ram ram;
  REQUIRE(write_descriptor_tables(ram.view(), CodeSize::k32).has_value());
  CHECK(ram.at<u64>(kBootGdt, 0) == 0);
  CHECK(ram.at<u64>(kBootGdt, 0x08) == 0x0000'8b00'0000'0067);
  CHECK(ram.at<u64>(kBootGdt, 0x10) == 0x00cf'9b00'0000'ffff);
  CHECK(ram.at<u64>(kBootGdt, 0x18) == 0x00cf'9300'0000'ffff);
  CHECK(ram.at<u64>(kBootIdt) == 0);
  REQUIRE(write_descriptor_tables(ram.view(), CodeSize::k64).has_value());
  CHECK(ram.at<u64>(kBootGdt, 0x10) == 0x00af'9b00'0000'ffff);
  const DescriptorTable gdt = pvh_registers(GuestAddress(0)).sregs.gdt;
  CHECK(gdt.base == kBootGdt.raw());
  CHECK(gdt.limit == 0x1f);
}

TEST_CASE("who jumps to the BIOS asks the keyboard controller for a reset", "[reset]") {
  const Ram ram;
  REQUIRE(write_reset_vector(ram.view()).has_value());
  CHECK(ram.at<u64>(kResetVector) == 0xccfd'ebf4'64e6'feb0);
  CHECK_FALSE(write_reset_vector(vm_memory::MemoryView()).has_value());
}

TEST_CASE("the page tables map the first GiB to itself", "[registers]") {
  const Ram ram;
  REQUIRE(write_page_tables(ram.view()).has_value());
  CHECK(ram.at<u64>(kPml4) == (kPdpt.raw() | 3));
  CHECK(ram.at<u64>(kPdpt) == (kPd.raw() | 3));
  for (std::size_t i = 1; i < 512; ++i) {
    REQUIRE(ram.at<u64>(kPml4, 8 * i) == 0);
    REQUIRE(ram.at<u64>(kPdpt, 8 * i) == 0);
  }
  for (std::size_t i = 0; i < 512; ++i) REQUIRE(ram.at<u64>(kPd, 8 * i) == (i << 21 | 0x83));
}

TEST_CASE("the boot MSRs are those of the system call entry points and memory types", "[msr]") {
  std::vector<std::pair<u32, u64>> set;
  for (const Msr& msr : boot_msrs()) {
    if (msr.value != 0) set.emplace_back(msr.index, msr.value);
  }
  CHECK(set == std::vector<std::pair<u32, u64>>{{0x1a0, 1}, {0x2ff, 0x806}});
}

TEST_CASE("LINT0 is ExtINT and LINT1 is NMI, and their other bits stay", "[lapic]") {
  std::array<std::byte, kLapicPageBytes> page{};
  lapic_write(page, LapicRegister::kLint0, 0x1'0000);
  lapic_write(page, LapicRegister::kLint1, 0x1'0712);
  set_boot_lints(page);
  CHECK(lapic_read(page, LapicRegister::kLint0) == 0x1'0700);
  CHECK(lapic_read(page, LapicRegister::kLint1) == 0x1'0412);
  CHECK(lapic_read(page, LapicRegister::kId) == 0);
}

}  // namespace
}  // namespace vmm::arch::x86_64
