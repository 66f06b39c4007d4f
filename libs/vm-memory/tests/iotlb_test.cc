// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_memory/iotlb.h"

#include <array>
#include <catch2/catch.hpp>
#include <cstdint>
#include <vector>

#include "vmm/base/endian.h"
#include "vmm/vm_memory/iova_view.h"

namespace vmm::vm_memory {
namespace {

constexpr std::uint64_t kMax = ~std::uint64_t{0};

IovaRange range(std::uint64_t start, std::uint64_t bytes) { return {Iova(start), bytes}; }

void map(Iotlb& iotlb, std::uint64_t iova, std::uint64_t bytes, std::uint64_t target,
         Access access = Access::kReadWrite) {
  REQUIRE(iotlb.set_mapping(range(iova, bytes), GuestAddress(target), access));
}

/// What a lookup of one byte finds; kMax for nothing.
std::uint64_t target_of(const Iotlb& iotlb, std::uint64_t iova) {
  const auto segment = iotlb.lookup(Iova(iova), 1, Access::kNone);
  return segment ? segment->address.raw() : kMax;
}

TEST_CASE("neighbours that continue each other are one entry", "[iotlb]") {
  Iotlb iotlb;
  map(iotlb, 0x1000, 0x1000, 0x8000);
  map(iotlb, 0x3000, 0x1000, 0xa000);
  CHECK(iotlb.size() == 2);
  map(iotlb, 0x2000, 0x1000, 0x9000);
  CHECK(iotlb.size() == 1);
  CHECK(*iotlb.lookup(Iova(0x1800), 0x2000, Access::kRead) ==
        Segment{GuestAddress(0x8800), 0x2000});
  // The same target twice, another permission, another distance: entries of their own.
  map(iotlb, 0x4000, 0x1000, 0xa000);
  CHECK(iotlb.size() == 2);
  map(iotlb, 0x5000, 0x1000, 0xb000, Access::kRead);
  CHECK(iotlb.size() == 3);
  // Mapping the same again changes nothing.
  map(iotlb, 0x1000, 0x3000, 0x8000);
  map(iotlb, 0x1800, 0x100, 0x8800);
  CHECK(iotlb.size() == 3);
}

TEST_CASE("a new mapping replaces what it covers", "[iotlb]") {
  Iotlb iotlb;
  map(iotlb, 0, 0x10000, 0x100000);
  map(iotlb, 0x4000, 0x1000, 0x900000);
  CHECK(iotlb.size() == 3);
  CHECK(target_of(iotlb, 0x3fff) == 0x103fff);
  CHECK(target_of(iotlb, 0x4000) == 0x900000);
  CHECK(target_of(iotlb, 0x4fff) == 0x900fff);
  CHECK(target_of(iotlb, 0x5000) == 0x105000);
  map(iotlb, 0x3000, 0x8000, 0x500000);
  CHECK(iotlb.size() == 3);
  CHECK(target_of(iotlb, 0xb000) == 0x10b000);
  map(iotlb, 0, 0x10000, 0);
  CHECK(iotlb.size() == 1);
}

TEST_CASE("lookups say what is missing and what is forbidden", "[iotlb][hostile]") {
  Iotlb iotlb;
  map(iotlb, 0x1000, 0x1000, 0x1000, Access::kRead);
  map(iotlb, 0x3000, 0x1000, 0x3000, Access::kWrite);
  map(iotlb, 0x4000, 0x1000, 0x9000, Access::kReadWrite);
  const auto faults = iotlb.faults(range(0x800, 0x5000), Access::kWrite);
  CHECK(faults.missing ==
        std::vector<IovaRange>{range(0x800, 0x800), range(0x2000, 0x1000), range(0x5000, 0x800)});
  CHECK(faults.denied == std::vector<IovaRange>{range(0x1000, 0x1000)});
  CHECK(iotlb.faults(range(0x1800, 1), Access::kReadWrite).denied ==
        std::vector<IovaRange>{range(0x1800, 1)});
  CHECK(iotlb.faults(range(0x3800, 0x1000), Access::kWrite).missing.empty());
  CHECK(iotlb.faults(range(0, 0), Access::kRead).missing.empty());
  CHECK(iotlb.faults(range(kMax, 1), Access::kRead).missing ==
        std::vector<IovaRange>{range(kMax, 1)});
  CHECK(iotlb.faults(range(kMax, 7), Access::kRead).missing ==
        std::vector<IovaRange>{range(kMax, 1)});

  CHECK(iotlb.lookup(Iova(0x1000), 8, Access::kWrite).error() == MemoryError::kNoPermission);
  CHECK(iotlb.lookup(Iova(0x1000), 8, Access::kReadWrite).error() == MemoryError::kNoPermission);
  CHECK(iotlb.lookup(Iova(0x1000), 8, Access::kNone));
  CHECK(iotlb.lookup(Iova(0x2000), 8, Access::kRead).error() == MemoryError::kNotTranslated);
  CHECK(iotlb.lookup(Iova(0x5000), 8, Access::kRead).error() == MemoryError::kNotTranslated);
  CHECK(iotlb.lookup(Iova(kMax), 2, Access::kRead).error() == MemoryError::kOverflow);
  CHECK(iotlb.lookup(Iova(0x1ffc), 8, Access::kRead)->bytes == 4);
  CHECK(iotlb.lookup(Iova(0x9000), 0, Access::kRead)->bytes == 0);
}

TEST_CASE("where nothing is mapped, nothing is found", "[iotlb][hostile]") {
  Iotlb iotlb;
  CHECK(iotlb.lookup(Iova(0), 1, Access::kNone).error() == MemoryError::kNotTranslated);
  iotlb.invalidate(range(0, kMax));
  CHECK(iotlb.empty());
}

TEST_CASE("invalidating in the middle splits", "[iotlb]") {
  Iotlb iotlb;
  map(iotlb, 0, 0x10000, 0x100000);
  iotlb.invalidate(range(0x4000, 0x1000));
  CHECK(iotlb.size() == 2);
  CHECK(target_of(iotlb, 0x3fff) == 0x103fff);
  CHECK(target_of(iotlb, 0x4000) == kMax);
  CHECK(target_of(iotlb, 0x4fff) == kMax);
  CHECK(target_of(iotlb, 0x5000) == 0x105000);
  iotlb.invalidate(range(0x6000, 0));
  CHECK(iotlb.size() == 2);
  iotlb.invalidate(range(0x3000, 0x3000));
  CHECK(target_of(iotlb, 0x3000) == kMax);
  CHECK(target_of(iotlb, 0x6000) == 0x106000);
  iotlb.invalidate(range(0x20000, kMax));
  CHECK(iotlb.size() == 2);
  iotlb.invalidate(range(1, kMax));
  CHECK(iotlb.size() == 1);
  CHECK(target_of(iotlb, 0) == 0x100000);
  iotlb.invalidate_all();
  CHECK(iotlb.empty());
  CHECK(iotlb.faults(range(0, 0x1000), Access::kNone).missing ==
        std::vector<IovaRange>{range(0, 0x1000)});
}

TEST_CASE("the last byte of the address space can be mapped", "[iotlb][hostile]") {
  Iotlb iotlb;
  map(iotlb, kMax - 0xfff, 0x1000, 0x5000);
  CHECK(target_of(iotlb, kMax) == 0x5fff);
  CHECK(*iotlb.lookup(Iova(kMax - 1), 2, Access::kRead) == Segment{GuestAddress(0x5ffe), 2});
  CHECK(iotlb.lookup(Iova(kMax - 1), 3, Access::kRead).error() == MemoryError::kOverflow);
  iotlb.invalidate(range(kMax, 1));
  CHECK(target_of(iotlb, kMax) == kMax);
  CHECK(target_of(iotlb, kMax - 1) == 0x5ffe);

  // All of it, which takes two calls, and is one entry.
  map(iotlb, 0, kMax, 0);
  map(iotlb, kMax, 1, kMax);
  CHECK(iotlb.size() == 1);
  CHECK(iotlb.lookup(Iova(0), kMax, Access::kWrite)->bytes == kMax);
  CHECK(iotlb.faults(range(0, kMax), Access::kWrite).missing.empty());

  CHECK(iotlb.set_mapping(range(kMax, 2), GuestAddress(0), Access::kRead).error() ==
        IotlbError::kOverflow);
  CHECK(iotlb.set_mapping(range(0, 0x1000), GuestAddress(kMax - 0xffe), Access::kRead).error() ==
        IotlbError::kOverflow);
  CHECK(iotlb.set_mapping(range(kMax, 0), GuestAddress(kMax), Access::kRead));
  CHECK(to_string(make_error(IotlbError::kFull)) == "I/O mapping: too many I/O mappings");
}

TEST_CASE("the number of entries has a limit", "[iotlb][hostile]") {
  Iotlb iotlb(3);
  for (std::uint64_t i = 0; i < 3; ++i) map(iotlb, i * 0x2000, 0x1000, 0);
  CHECK(iotlb.set_mapping(range(0x7000, 0x1000), GuestAddress(0), Access::kRead).error() ==
        IotlbError::kFull);
  CHECK(iotlb.set_mapping(range(0x2100, 0x10), GuestAddress(0), Access::kRead).error() ==
        IotlbError::kFull);
  CHECK(target_of(iotlb, 0x2100) == 0x100);
  map(iotlb, 0x2000, 0x1000, 0x9000);  // a replacement needs no room
  // No room for the second half: it is gone too, and nothing stale is left.
  iotlb.invalidate(range(0x2400, 0x10));
  CHECK(iotlb.size() == 3);
  CHECK(target_of(iotlb, 0x23ff) == 0x93ff);
  CHECK(target_of(iotlb, 0x2400) == kMax);
  CHECK(target_of(iotlb, 0x2410) == kMax);
}

/// 64 KiB of guest memory in two regions, tracked, behind a translator.
struct Machine {
  std::vector<std::byte> low = std::vector<std::byte>(0x8000);
  std::vector<std::byte> high = std::vector<std::byte>(0x8000);
  DirtyBitmap physical{0x8000};
  DirtyBitmap by_iova{0x1000000};
  std::array<RegionSpan, 2> regions{RegionSpan{GuestAddress(0), low, &physical},
                                    RegionSpan{GuestAddress(0x8000), high}};
  MemoryView memory{std::span<const RegionSpan>(regions)};
  IotlbTranslator translator;
  IovaView view{memory, translator, &by_iova};
};

TEST_CASE("accesses go through the translation", "[iova_view]") {
  Machine machine;
  const IovaView view = machine.view;
  REQUIRE(machine.translator.set_mapping(range(0x100000, 0x1000), GuestAddress(0x3000),
                                         Access::kReadWrite));
  REQUIRE(
      machine.translator.set_mapping(range(0x101000, 0x1000), GuestAddress(0x1000), Access::kRead));
  REQUIRE(machine.memory.write(GuestAddress(0x3ffc), Le64(0x1122334455667788)));
  REQUIRE(machine.memory.write(GuestAddress(0x1000), Le32(0xaabbccdd)));
  (void)machine.physical.get_and_reset();

  CHECK(view.read<Le64>(Iova(0x100ffc))->get() == 0xaabbccdd55667788);
  CHECK(view.read<Le64>(Iova(0x102000)).error() == MemoryError::kNotTranslated);
  CHECK(view.read<Le64>(Iova(0x101ffc)).error() == MemoryError::kNotTranslated);
  CHECK(view.write(Iova(0x100ffc), Le64(0)).error() == MemoryError::kNoPermission);
  CHECK(view.read<Le32>(Iova(0x100ffc))->get() == 0x55667788);  // nothing was written
  CHECK(view.read<Le64>(Iova(kMax - 3)).error() == MemoryError::kOverflow);
  CHECK(view.load<Le32>(Iova(0x100ffc))->get() == 0x55667788);
  CHECK(view.load<Le64>(Iova(0x100ff1)).error() == MemoryError::kMisaligned);
  CHECK(view.load<Le64>(Iova(0x100ffc)).error() == MemoryError::kNotContiguous);
  CHECK(view.store<Le32>(Iova(0x101000), Le32(1)).error() == MemoryError::kNoPermission);
  CHECK_FALSE(view.physical());
  CHECK(view.check_range(Iova(0x100000), 0x2000, Access::kRead));
  CHECK_FALSE(view.check_range(Iova(0x100000), 0x1001, Access::kWrite));
  CHECK(view.check_range(Iova(0x900000), 0, Access::kWrite));
  CHECK(machine.by_iova.get_and_reset()[4] == 0);

  // Marks go to the bitmap of I/O addresses only.
  REQUIRE(view.write(Iova(0x100010), Le32(7)));
  REQUIRE(view.store<Le32>(Iova(0x100014), Le32(8)));
  CHECK(machine.memory.read<Le64>(GuestAddress(0x3010))->get() == 0x800000007);
  CHECK(machine.by_iova.get_and_reset()[4] == 1);
  CHECK(machine.physical.get_and_reset()[0] == 0);

  machine.translator.invalidate(range(0x100000, 0x800));
  CHECK(view.read<Le32>(Iova(0x1007fe)).error() == MemoryError::kNotTranslated);
  CHECK(view.read<Le32>(Iova(0x100800)));
  CHECK(machine.translator.faults(range(0x100000, 0x1000), Access::kRead).missing ==
        std::vector<IovaRange>{range(0x100000, 0x800)});
  machine.translator.invalidate_all();
  CHECK(view.read<Le32>(Iova(0x100800)).error() == MemoryError::kNotTranslated);
}

TEST_CASE("a mapping across regions gives a slice for each", "[iova_view]") {
  Machine machine;
  REQUIRE(
      machine.translator.set_mapping(range(0, 0x20000), GuestAddress(0x4000), Access::kReadWrite));
  IovaWalk walk = machine.view.slices(Iova(0x3000), 0x2000, Access::kWrite);
  CHECK(walk.next()->size() == 0x1000);
  CHECK(walk.next()->size() == 0x1000);
  CHECK(walk.done());
  // The mapping is longer than the memory it leads to.
  IovaWalk too_long = machine.view.slices(Iova(0xb000), 0x2000, Access::kWrite);
  CHECK(too_long.next()->size() == 0x1000);
  CHECK(too_long.next().error() == MemoryError::kUnmapped);
  CHECK(too_long.done());
  CHECK(machine.view.write(Iova(0xbffe), Le32(kMax >> 32)).error() == MemoryError::kUnmapped);
  CHECK(machine.memory.read<std::uint16_t>(GuestAddress(0xfffe)).has_value());
  CHECK(*machine.memory.read<std::uint16_t>(GuestAddress(0xfffe)) == 0);
}

TEST_CASE("without a translator I/O addresses are guest addresses", "[iova_view]") {
  Machine machine;
  const IovaView view(machine.memory);
  REQUIRE(view.write(Iova(0x2000), Le32(3)));
  CHECK(machine.physical.get_and_reset()[0] == 0b100);
  CHECK(view.read<Le32>(Iova(0x2000))->get() == 3);
  CHECK(view.read<Le32>(Iova(0x20000)).error() == MemoryError::kUnmapped);
  REQUIRE(view.physical());
  CHECK(view.physical()->regions().size() == 2);
  CHECK(view.check(Iova(kMax - 3), 8, Access::kRead).error() == MemoryError::kOverflow);
  CHECK(view.check(Iova(kMax - 7), 8, Access::kRead).error() == MemoryError::kUnmapped);
  CHECK(view.check(Iova(kMax), 0, Access::kRead));
}

/// Answers whatever it is told to.
class HostileTranslator final : public Translator {
 public:
  explicit HostileTranslator(Segment answer) : answer_(answer) {}
  [[nodiscard]] Result<Segment, MemoryError> translate(Iova, std::uint64_t, Access) override {
    return answer_;
  }

 private:
  Segment answer_;
};

TEST_CASE("a translator is not trusted", "[iova_view][hostile]") {
  const Machine machine;
  for (const Segment answer : {Segment{GuestAddress(0), kMax}, Segment{GuestAddress(0xfff8), kMax},
                               Segment{GuestAddress(0), 1}}) {
    HostileTranslator translator(answer);
    const IovaView view(machine.memory, translator);
    CHECK(view.read<Le64>(Iova(0)));
  }
  HostileTranslator nothing(Segment{GuestAddress(0), 0});
  CHECK(IovaView(machine.memory, nothing).read<Le64>(Iova(0)).error() ==
        MemoryError::kNotTranslated);
  HostileTranslator outside(Segment{GuestAddress(0xffff), 8});
  CHECK(IovaView(machine.memory, outside).load<Le64>(Iova(0)).error() ==
        MemoryError::kNotContiguous);
  HostileTranslator wrapping(Segment{GuestAddress(kMax), 8});
  CHECK(IovaView(machine.memory, wrapping).read<Le64>(Iova(0)).error() == MemoryError::kUnmapped);
}

}  // namespace
}  // namespace vmm::vm_memory
