// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Every table is read by iasl without a complaint, and compiling what it read gives the same bytes.

#include "tests/support.h"
#include "vmm/acpi_tables/aml.h"
#include "vmm/acpi_tables/aml_terms.h"
#include "vmm/acpi_tables/arm.h"
#include "vmm/acpi_tables/console.h"
#include "vmm/acpi_tables/fadt.h"
#include "vmm/acpi_tables/madt.h"
#include "vmm/acpi_tables/numa.h"
#include "vmm/acpi_tables/pci.h"
#include "vmm/acpi_tables/resources.h"

namespace vmm::acpi_tables {
namespace {

template <class Writer>
void check(const Writer& write) {
  TableBuffer out;
  write(out);
  const auto table = out.finish();
  REQUIRE(table.has_value());
  check_with_iasl(*table);
}

TEST_CASE("iasl accepts an XSDT and a FADT", "[iasl]") {
  check([](TableBuffer& out) {
    write_xsdt(out, kOem, std::array<std::uint64_t, 3>{0xa0040, 0xa0100, 0x1'0000'0000});
  });
  check([](TableBuffer& out) {
    write_fadt(out, kOem,
               {.dsdt = 0xa0040,
                .profile = Fadt::kEnterpriseServer,
                .boot_arch = Fadt::kNoVga | Fadt::kNoCmosRtc,
                .flags = Fadt::kHardwareReduced | Fadt::kResetRegister,
                .reset_register = GenericAddress::io_byte(0x600),
                .reset_value = 1,
                .sleep_control = GenericAddress::io_byte(0x600),
                .sleep_status = GenericAddress::io_byte(0x600),
                .hypervisor = {'C', 'P', 'P', 'V', 'M', 'M'}});
  });
}

TEST_CASE("a FADT has the length and offsets of revision 6", "[fadt]") {
  TableBuffer out;
  write_fadt(out, kOem,
             {.dsdt = 0x1'0000'1000,
              .facs = 0x2000,
              .arm_boot_arch = Fadt::kPsci | Fadt::kPsciOverHvc,
              .pm_timer = {GenericAddress::kSystemIo, 32, 0, GenericAddress::kDword, 0x608},
              .sleep_control = GenericAddress::io_byte(0x600),
              .hypervisor = {'H'}});
  const auto fadt = *out.finish();
  check_header(fadt);
  CHECK(fadt.size() == kFadtBytes);
  CHECK(load_le<std::uint32_t>(&fadt[40]) == 0);  // the DSDT is above 4 GiB
  CHECK(load_le<std::uint32_t>(&fadt[76]) == 0x608);
  CHECK(fadt[91] == std::byte{4});
  CHECK(load_le<std::uint32_t>(&fadt[112]) == Fadt::kHardwareReduced);
  CHECK(load_le<std::uint16_t>(&fadt[129]) == 3);
  CHECK(load_le<std::uint64_t>(&fadt[132]) == 0x2000);
  CHECK(load_le<std::uint64_t>(&fadt[140]) == 0x1'0000'1000);
  CHECK(load_le<std::uint64_t>(&fadt[212]) == 0x608);
  CHECK(load_le<std::uint64_t>(&fadt[248]) == 0x600);
  CHECK(fadt[268] == std::byte{'H'});
}

TEST_CASE("iasl accepts a MADT of a PC and one of an Arm machine", "[iasl]") {
  for (std::uint32_t cpus = 0; cpus < 5; ++cpus) {
    check([cpus](TableBuffer& out) {
      Madt madt(out, kOem, 0xfee0'0000);
      for (std::uint32_t i = 0; i < cpus; ++i) {
        madt.local_apic(static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(2 * i), i != 3);
        madt.local_x2apic(i + 300, i + 300, true);
      }
      madt.io_apic(0, 0xfec0'0000, 0);
      madt.interrupt_override(4, 4, Madt::kConforms);
      madt.nmi_source(7, Madt::kActiveHigh | Madt::kEdge);
      madt.local_apic_nmi(Madt::kAllCpus, 1, Madt::kConforms);
      madt.local_x2apic_nmi(Madt::kAllX2apicCpus, 1, Madt::kConforms);
    });
  }
  check([](TableBuffer& out) {
    Madt madt(out, kOem, 0);
    madt.gic_cpu({.uid = 0, .mpidr = 0x8000'0000, .performance_interrupt = 23});
    madt.gic_cpu({.uid = 1, .enabled = false, .mpidr = 1, .interface_number = 1});
    madt.gic_distributor(3, 0x8ff'0000);
    madt.gic_redistributors(0x8fb'0000, 0x4'0000);
    madt.gic_its(0, 0x8f9'0000);
  });
}

TEST_CASE("iasl accepts the PCI, NUMA and topology tables", "[iasl]") {
  check([](TableBuffer& out) {
    Mcfg mcfg(out, kOem);
    mcfg.segment(0, 0xe800'0000, 0, 0);
    mcfg.segment(1, 0xe810'0000, 0, 0xff);
  });
  check([](TableBuffer& out) {
    Srat srat(out, kOem);
    srat.local_apic(0x0102'0304, 1);
    srat.local_x2apic(1, 300);
    srat.gic_cpu(0, 1);
    srat.gic_its(0, 0);
    srat.memory(0, 0, 0xc000'0000);
    srat.memory(1, 0x1'0000'0000, 0x4000'0000, Srat::kEnabled | Srat::kHotPluggable);
    srat.generic_initiator(1, {.segment = 0, .bus = 0, .device = 3, .function = 1});
  });
  for (const std::size_t nodes : std::initializer_list<std::size_t>{0, 1, 2, 17}) {
    std::vector<std::uint8_t> distances(nodes * nodes, 20);
    for (std::size_t i = 0; i < nodes; ++i) distances[i * nodes + i] = 10;
    TableBuffer out;
    write_slit(out, kOem, nodes, distances);
    check_header(*out.finish());
    if (nodes != 0) check_with_iasl(*out.finish());
  }
  check([](TableBuffer& out) {
    Pptt pptt(out, kOem);
    const std::uint32_t l2 =
        pptt.cache({.bytes = 1 << 20, .sets = 1024, .ways = 16, .attributes = 8});
    const std::uint32_t l1 =
        pptt.cache({.next_level = l2, .bytes = 1 << 15, .sets = 64, .ways = 8});
    const std::uint32_t package = pptt.processor(Pptt::kPackage, 0, 0);
    pptt.processor(Pptt::kIdValid | Pptt::kLeaf, package, 0, std::array{l1, l2});
    pptt.processor(Pptt::kIdValid | Pptt::kLeaf, package, 1, std::array{l1, l2});
  });
}

TEST_CASE("iasl accepts the console, TPM, timer and I/O remapping tables", "[iasl]") {
  const GenericAddress uart{GenericAddress::kSystemMemory, 32, 0, GenericAddress::kDword,
                            0x900'0000};
  check([&](TableBuffer& out) {
    write_spcr(
        out, kOem,
        {.kind = UartKind::kPl011, .base = uart, .interrupt_kind = SerialConsole::kGic, .gsi = 33});
  });
  check([&](TableBuffer& out) {
    write_dbg2(out, kOem, UartKind::kPl011, uart, 0x1000, "\\_SB_.COM1");
  });
  check([](TableBuffer& out) { write_tpm2(out, kOem, {.control_area = 0xfed4'0040}); });
  check([](TableBuffer& out) {
    write_gtdt(
        out, kOem,
        {.secure_el1 = {29, 2}, .non_secure_el1 = {30, 6}, .virtual_el1 = {27, 2}, .el2 = {26, 2}});
  });
  check([](TableBuffer& out) {
    Iort iort(out, kOem);
    const std::uint32_t its = iort.its_group(std::array<std::uint32_t, 1>{0});
    iort.root_complex(0, std::array{Iort::Mapping{0, 0x1'0000, 0, its}});
    iort.root_complex(1, {});
  });
}

TEST_CASE("a VIOT counts its nodes and its parts point to each other", "[viot]") {
  TableBuffer out;
  std::uint16_t iommu = 0;
  {
    Viot viot(out, kOem);
    iommu = viot.virtio_iommu_pci({.segment = 0, .bus = 0, .device = 31, .function = 7});
    viot.pci_range({.segment = 0}, {.segment = 0, .bus = 0xff, .device = 31, .function = 7}, 0,
                   iommu);
    viot.mmio_endpoint(0x1000, 7, viot.virtio_iommu_mmio(0x2000));
  }
  const auto viot = *out.finish();
  check_header(viot);
  CHECK(iommu == 48);
  CHECK(load_le<std::uint16_t>(&viot[36]) == 4);
  CHECK(viot.size() == 48 + 16 + 24 + 16 + 24);
  CHECK(load_le<std::uint16_t>(&viot[48 + 6]) == 0xff);
  CHECK(load_le<std::uint16_t>(&viot[64 + 16]) == iommu);
  CHECK(load_le<std::uint16_t>(&viot[104 + 16]) == 88);
}

TEST_CASE("tables refuse what they cannot say", "[hostile]") {
  const auto error_of = [](auto&& write) {
    TableBuffer out;
    write(out);
    return written(out);
  };
  const auto failed = [](AcpiError error) { return Bytes{0xbad, static_cast<unsigned>(error)}; };
  CHECK(error_of([](TableBuffer& out) { Mcfg(out, kOem).segment(0, 0, 1, 0); }) ==
        failed(AcpiError::kBadRange));
  CHECK(error_of([](TableBuffer& out) { Viot(out, kOem).virtio_iommu_pci({.device = 32}); }) ==
        failed(AcpiError::kBadDevice));
  CHECK(error_of([](TableBuffer& out) { Viot(out, kOem).pci_range({.function = 8}, {}, 0, 48); }) ==
        failed(AcpiError::kBadDevice));
  CHECK(error_of([](TableBuffer& out) { Viot(out, kOem).pci_range({.bus = 1}, {}, 0, 48); }) ==
        failed(AcpiError::kBadRange));
  CHECK(error_of([](TableBuffer& out) {
          Viot viot(out, kOem);
          for (int i = 0; i < 5000; ++i) viot.virtio_iommu_mmio(0);
        }) == failed(AcpiError::kTooManyElements));
  CHECK(error_of([](TableBuffer& out) { Srat(out, kOem).memory(0, ~std::uint64_t{0}, 2); }) ==
        failed(AcpiError::kBadRange));
  CHECK(error_of([](TableBuffer& out) { Srat(out, kOem).generic_initiator(0, {.device = 32}); }) ==
        failed(AcpiError::kBadDevice));
  CHECK(error_of([](TableBuffer& out) {
          write_slit(out, kOem, 2, std::array<std::uint8_t, 3>{10, 20, 20});
        }) == failed(AcpiError::kBadRange));
  CHECK(error_of([](TableBuffer& out) {
          write_slit(out, kOem, 2, std::array<std::uint8_t, 4>{10, 10, 20, 10});
        }) == failed(AcpiError::kBadRange));
  CHECK(error_of([](TableBuffer& out) {
          write_slit(out, kOem, 2, std::array<std::uint8_t, 4>{11, 20, 20, 10});
        }) == failed(AcpiError::kBadRange));
  CHECK(error_of([](TableBuffer& out) { write_slit(out, kOem, std::size_t{1} << 32, {}); }) ==
        failed(AcpiError::kBadRange));
  CHECK(error_of([](TableBuffer& out) {
          Pptt(out, kOem).processor(0, 0, 0, std::vector<std::uint32_t>(59));
        }) == failed(AcpiError::kTooManyElements));
  CHECK(error_of([](TableBuffer& out) { Iort(out, kOem).its_group({}); }) ==
        failed(AcpiError::kBadRange));
  CHECK(error_of([](TableBuffer& out) {
          Iort(out, kOem).its_group(std::vector<std::uint32_t>(20000));
        }) == failed(AcpiError::kTooManyElements));
  CHECK(error_of([](TableBuffer& out) {
          Iort(out, kOem).root_complex(0, std::vector<Iort::Mapping>(1));
        }) == failed(AcpiError::kBadRange));
  CHECK(error_of([](TableBuffer& out) {
          Iort(out, kOem).root_complex(0, std::vector<Iort::Mapping>(4000));
        }) == failed(AcpiError::kTooManyElements));
  CHECK(error_of([](TableBuffer& out) { write_dbg2(out, kOem, UartKind::k16550, {}, 8, ""); }) ==
        failed(AcpiError::kBadString));
  CHECK(error_of([](TableBuffer& out) {
          write_dbg2(out, kOem, UartKind::k16550, {}, 8, std::string(2000, 'A'));
        }) == failed(AcpiError::kBadString));
}

constexpr Path kResult{"RSLT"};

/// Everything the AML writer offers, in one definition block.
void write_big_dsdt(TableBuffer& out) {
  const Table table(out, "DSDT", 2, kOem);
  Aml aml(out);
  const Block scope = aml.scope("\\_SB_");
  {
    const Block device = aml.device("PCI0");
    aml.name("_HID", EisaId{"PNP0A08"});
    aml.name("_CID", EisaId{"PNP0A03"});
    aml.name("_UID", 0u);
    aml.name("UUID", Uuid{"e5c937d0-3553-4d7a-9117-ea4d19c3434d"});
    aml.name_op("_CRS");
    Resources resources = aml.resources();
    resources.bus_numbers({0, 0});
    resources.io(0xcf8, 0xcf8, 1, 8);
    resources.io_window({0, 0xcf7});
    resources.io_window32({0xd00, 0xffff});
    resources.io_window64({0x1'0000, 0x1'ffff});
    resources.memory_window32(Caching::kNone, true, {0xc000'0000, 0xe7ff'ffff});
    resources.memory_window64(Caching::kCacheable, true, {0x1'0000'0000, 0xf'ffff'ffff});
    resources.irq({4}, {.edge = true});
    resources.irq_no_flags({5});
    resources.interrupt({.active_low = true, .shared = true}, std::array<std::uint32_t, 2>{5, 16});
    resources.register_at({GenericAddress::kSystemIo, 8, 0, GenericAddress::kByte, 0x600});
    resources.memory32_fixed(false, 0xfed4'0000, 0x1000);
    const std::array<std::uint16_t, 3> pins{3, 0, 0x1234};
    resources.gpio_interrupt(
        {.controller = "\\_SB.GPI0",
         .pins = std::span(pins).first(1),
         .pull = GpioPins::Pull::kUp,
         .debounce = 50},
        {.edge = true, .active = GpioInterruptRules::Active::kBoth, .wake = true});
    resources.gpio_io(
        {.controller = "\\_SB.GPI0", .pins = pins, .pull = GpioPins::Pull::kNone, .shared = true},
        {.use = GpioIoRules::Use::kOutput, .drive = 200});
    resources.i2c({.controller = "\\_SB.I2C0", .address = 0x2f, .hertz = 400'000});
    resources.i2c({.controller = "^I2C1", .address = 0x3ff, .ten_bits = true, .shared = true});
    resources.spi({.controller = "\\_SB.SPI0", .select = 1});
    resources.spi({.controller = "\\_SB.SPI0",
                   .select = 2,
                   .select_high = true,
                   .three_wires = true,
                   .clock_high = true,
                   .second_phase = true,
                   .shared = true,
                   .data_bits = 16,
                   .hertz = 25'000'000});
  }
  {
    const Block zone = aml.thermal_zone("THRM");
    aml.name("_TZP", 100u);
  }
  {
    const Block device = aml.device("PRST");
    aml.name("_HID", "ACPI0013");
    aml.mutex("MLCK");
    aml.name("RSLT", 0u);
    aml.name("BUFF", std::span<const std::byte>(std::array<std::byte, 8>{}));
    aml.event("EVNT");
    aml.operation_region("REGS", RegionSpace::kSystemMemory, 0xf'ffff'f000u, 0x18u);
    {
      FieldList field =
          aml.field("REGS", {.access = FieldAccess::kDword, .update = FieldUpdate::kWriteAsZeros});
      field.named("MHBL", 32);
      field.named("MHBH", 32);
      field.reserved(64 + 5);
      field.named("MEN_", 1);
    }
    {
      FieldList field = aml.field("REGS", {.access = FieldAccess::kByte, .lock = true});
      field.named("INDX", 8);
      field.named("DATA", 8);
    }
    {
      FieldList field = aml.index_field("INDX", "DATA", {.access = FieldAccess::kByte});
      field.named("IDX0", 8);
    }
    {
      const Block method = aml.method("MSCN", {.serialized = true});
      aml.put(acquire(Path{"MLCK"}, 0xffff));
      aml.put(store(0u, Local{0}));
      {
        const Block loop = aml.while_(less(Local{0}, 8u));
        aml.put(store(Local{0}, Path{"MHBL"}));
        {
          const Block branch =
              aml.if_(logical_and(equal(Path{"MEN_"}, 1u), logical_not(greater(Local{0}, 6u))));
          aml.put(notify(Path{"^^PCI0"}, 1u));
        }
        {
          const Block otherwise = aml.else_();
          aml.put(breaks());
        }
        aml.put(add(Local{0}, 1u, Local{0}));
        aml.put(continues());
      }
      aml.put(release(Path{"MLCK"}));
      aml.put(signal(Path{"EVNT"}), store(wait(Path{"EVNT"}, 10u), Path{"RSLT"}),
              reset(Path{"EVNT"}));
    }
    {
      const Block method = aml.method("MATH", {.arguments = 2});
      aml.put(subtract(Arg{0}, 1u, kResult), multiply(Arg{0}, 3u, kResult),
              divide(Arg{0}, 3u, kResult, kResult), modulo(Arg{0}, 3u, kResult),
              shift_left(Arg{0}, 3u, kResult), shift_right(Arg{0}, 3u, kResult),
              bit_and(Arg{0}, 3u, kResult), bit_nand(Arg{0}, 3u, kResult),
              bit_or(Arg{0}, 3u, kResult), bit_nor(Arg{0}, 3u, kResult),
              bit_xor(Arg{0}, 3u, kResult), bit_not(Arg{0}, kResult),
              find_set_left_bit(Arg{0}, kResult), find_set_right_bit(Arg{0}, kResult));
      aml.put(increment(kResult), decrement(kResult), sleep_ms(2u), stall_us(50u), noop());
      aml.put(store(greater_or_equal(Arg{0}, Arg{1}), kResult),
              store(less_or_equal(Arg{0}, Arg{1}), kResult),
              store(not_equal(Arg{0}, Arg{1}), kResult),
              store(logical_or(Arg{0}, Arg{1}), kResult));
      aml.put(store(kResult, Debug{}), store(timer(), kResult), to_bcd(Arg{0}, kResult),
              from_bcd(Arg{0}, kResult), store(reference_if_there(kResult, kResult), kResult));
      aml.put(returns(call(Path{"STRS"}, Arg{0})));
    }
    {
      const Block method =
          aml.method("STRS", {.arguments = 1, .serialized = true, .sync_level = 3});
      {
        aml.name_op("CRES");
        Resources resources = aml.resources();
        resources.memory_window64(Caching::kCacheable, true, {0, 0xffff'fffe});
      }
      aml.put(create_qword_field(Path{"CRES"}, 14u, Path{"MINL"}),
              create_dword_field(Path{"BUFF"}, 0u, Path{"MAXL"}),
              create_word_field(Path{"BUFF"}, 0u, Path{"WRDF"}),
              create_byte_field(Path{"BUFF"}, 0u, Path{"BYTF"}),
              create_bit_field(Path{"BUFF"}, 0u, Path{"BITF"}));
      aml.create_field(Path{"BUFF"}, 8u, 24u, "ANYF");
      aml.put(store(1u, Path{"MINL"}));
      aml.put(to_integer(Arg{0}, kResult), to_buffer(Arg{0}, kResult),
              to_hex_string(Arg{0}, kResult), to_decimal_string(Arg{0}, kResult),
              to_string(kResult, 2u, kResult), concatenate(kResult, "x", kResult),
              concatenate_resources(Path{"CRES"}, Path{"CRES"}, kResult),
              mid(kResult, 0u, 1u, kResult), copy_object(kResult, kResult));
      aml.put(store(dereference(index(Path{"PACK"}, 1u, NoTarget{})), kResult));
      aml.put(store(size_of(kResult), kResult), store(object_type(kResult), kResult),
              store(reference_of(kResult), kResult));
      aml.put(store([](Aml& sized) { sized.buffer_of(Arg{0}).close(); }, kResult));
      aml.put(copy_object([](Aml& sized) { sized.package_of(Arg{0}).close(); }, kResult));
      aml.put(returns(Path{"CRES"}));
    }
    {
      aml.name_op("PACK");
      Package package = aml.package();
      package.add(5u);
      package.add(std::uint64_t{0x1234'5678'9abc});
      package.add("text");
      package.add(Ones{});
    }
    {
      const Block power = aml.power_resource("PWR0", 0, 1);
      aml.name("_STA", 1u);
      {
        const Block method = aml.method("_ON_");
      }
      {
        const Block method = aml.method("_OFF");
      }
    }
    aml.alias("PACK", "PAC2");
  }
}

TEST_CASE("iasl gives back a DSDT with everything the writer offers", "[iasl]") {
  check(write_big_dsdt);
}

}  // namespace
}  // namespace vmm::acpi_tables
