// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <linux/vfio.h>

#include <cstdint>

// The kernel's interface, with what is younger than Debian 12's headers: <linux/vfio.h> of Linux
// 6.6 and <linux/iommufd.h>, whose structures begin with their own size.

namespace vmm::vfio::uapi {

inline constexpr unsigned kVfioBindIommufd = _IO(VFIO_TYPE, VFIO_BASE + 18);
inline constexpr unsigned kVfioAttachIommufd = _IO(VFIO_TYPE, VFIO_BASE + 19);
inline constexpr unsigned kVfioPrecopyInfo = _IO(VFIO_TYPE, VFIO_BASE + 21);

struct VfioBind {
  std::uint32_t argsz = sizeof(VfioBind);
  std::uint32_t flags = 0;
  std::int32_t iommufd = -1;
  std::uint32_t device_id = 0;
};
struct VfioAttach {
  std::uint32_t argsz = sizeof(VfioAttach);
  std::uint32_t flags = 0;
  std::uint32_t page_table = 0;  // an address space's or a page table's
};
struct VfioDetach {
  std::uint32_t argsz = sizeof(VfioDetach);
  std::uint32_t flags = 0;
};
struct VfioPrecopy {
  std::uint32_t argsz = sizeof(VfioPrecopy);
  std::uint32_t flags = 0;
  std::uint64_t initial_bytes = 0;
  std::uint64_t dirty_bytes = 0;
};

// The heads of structures that end in bytes of any number, to be part of larger ones.
struct IrqSetHead {
  std::uint32_t argsz = 0;
  std::uint32_t flags = 0;
  std::uint32_t index = 0;
  std::uint32_t start = 0;
  std::uint32_t count = 0;
};
struct FeatureHead {
  std::uint32_t argsz = 0;
  std::uint32_t flags = 0;
};
struct DirtyBitmapHead {
  std::uint32_t argsz = 0;
  std::uint32_t flags = 0;
};
struct SparseAreasHead {
  vfio_info_cap_header header{};
  std::uint32_t nr_areas = 0;
  std::uint32_t reserved = 0;
};
struct UsableRangesHead {
  vfio_info_cap_header header{};
  std::uint32_t nr_iovas = 0;
  std::uint32_t reserved = 0;
};
struct HotResetHead {
  std::uint32_t argsz = 0;
  std::uint32_t flags = 0;
  std::uint32_t count = 0;
};
static_assert(sizeof(IrqSetHead) == sizeof(vfio_irq_set));
static_assert(sizeof(SparseAreasHead) == sizeof(vfio_region_info_cap_sparse_mmap));
static_assert(sizeof(UsableRangesHead) == sizeof(vfio_iommu_type1_info_cap_iova_range));
static_assert(sizeof(HotResetHead) == sizeof(vfio_pci_hot_reset_info));
static_assert(sizeof(HotResetHead) == sizeof(vfio_pci_hot_reset));
static_assert(sizeof(FeatureHead) == sizeof(vfio_device_feature));
static_assert(sizeof(DirtyBitmapHead) == sizeof(vfio_iommu_type1_dirty_bitmap));

inline constexpr std::uint32_t kFeatureMigrationDataSize = 9;
inline constexpr std::uint64_t kMigrationPrecopy = 1u << 2;
// VFIO_DEVICE_GET_PCI_HOT_RESET_INFO of a device that was opened for iommufd.
inline constexpr std::uint32_t kHotResetOwned = 1u << 1;

inline constexpr unsigned kIommuDestroy = _IO(VFIO_TYPE, 0x80);
inline constexpr unsigned kIommuSpaceAlloc = _IO(VFIO_TYPE, 0x81);
inline constexpr unsigned kIommuRanges = _IO(VFIO_TYPE, 0x84);
inline constexpr unsigned kIommuMap = _IO(VFIO_TYPE, 0x85);
inline constexpr unsigned kIommuUnmap = _IO(VFIO_TYPE, 0x86);
inline constexpr unsigned kIommuTableAlloc = _IO(VFIO_TYPE, 0x89);
inline constexpr unsigned kIommuSetDirty = _IO(VFIO_TYPE, 0x8b);
inline constexpr unsigned kIommuGetDirty = _IO(VFIO_TYPE, 0x8c);

struct IommuDestroy {
  std::uint32_t size = sizeof(IommuDestroy);
  std::uint32_t id = 0;
};
struct IommuSpaceAlloc {
  std::uint32_t size = sizeof(IommuSpaceAlloc);
  std::uint32_t flags = 0;
  std::uint32_t id = 0;
};
struct IommuRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};
struct IommuRanges {
  std::uint32_t size = sizeof(IommuRanges);
  std::uint32_t space = 0;
  std::uint32_t count = 0;
  std::uint32_t reserved = 0;
  std::uint64_t ranges = 0;  // a pointer
  std::uint64_t alignment = 0;
};
inline constexpr std::uint32_t kMapFixed = 1u << 0;
inline constexpr std::uint32_t kMapWritable = 1u << 1;
inline constexpr std::uint32_t kMapReadable = 1u << 2;
struct IommuMap {
  std::uint32_t size = sizeof(IommuMap);
  std::uint32_t flags = 0;
  std::uint32_t space = 0;
  std::uint32_t reserved = 0;
  std::uint64_t memory = 0;  // a pointer
  std::uint64_t bytes = 0;
  std::uint64_t iova = 0;
};
struct IommuUnmap {
  std::uint32_t size = sizeof(IommuUnmap);
  std::uint32_t space = 0;
  std::uint64_t iova = 0;
  std::uint64_t bytes = 0;
};
inline constexpr std::uint32_t kTableDirtyTracking = 1u << 1;
struct IommuTableAlloc {
  std::uint32_t size = sizeof(IommuTableAlloc);
  std::uint32_t flags = 0;
  std::uint32_t device = 0;
  std::uint32_t parent = 0;
  std::uint32_t id = 0;
  std::uint32_t reserved = 0;
  std::uint32_t data_type = 0;
  std::uint32_t data_bytes = 0;
  std::uint64_t data = 0;
};
struct IommuSetDirty {
  std::uint32_t size = sizeof(IommuSetDirty);
  std::uint32_t flags = 0;  // 1: on
  std::uint32_t table = 0;
  std::uint32_t reserved = 0;
};
struct IommuGetDirty {
  std::uint32_t size = sizeof(IommuGetDirty);
  std::uint32_t table = 0;
  std::uint32_t flags = 0;
  std::uint32_t reserved = 0;
  std::uint64_t iova = 0;
  std::uint64_t bytes = 0;
  std::uint64_t page_bytes = 0;
  std::uint64_t bitmap = 0;  // a pointer
};

static_assert(sizeof(VfioBind) == 16 && sizeof(VfioAttach) == 12 && sizeof(VfioDetach) == 8);
static_assert(sizeof(VfioPrecopy) == 24);
static_assert(sizeof(IommuRanges) == 32 && sizeof(IommuMap) == 40 && sizeof(IommuUnmap) == 24);
static_assert(sizeof(IommuTableAlloc) == 40 && sizeof(IommuSetDirty) == 16);
static_assert(sizeof(IommuGetDirty) == 48 && sizeof(IommuSpaceAlloc) == 12);

}  // namespace vmm::vfio::uapi
