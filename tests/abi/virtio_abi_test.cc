// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Our structures and numbers of virtio against those that Linux gives to programs: what our own
// tests, whose drivers use our structures too, would not notice. What is compiled is right; a few
// devices are asked at the end. The clock and the watchdog have no such header.

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "fd_pairs.h"
#include "libs/virtio-balloon/src/config.h"
#include "libs/virtio-gpio/src/messages.h"
#include "libs/virtio-i2c/src/request.h"
#include "libs/virtio-iommu/src/layout.h"
#include "libs/virtio-mem/src/layout.h"
#include "libs/virtio-net/src/vnet_header.h"
#include "vmm/virtio_balloon/balloon.h"
#include "vmm/virtio_blk/layout.h"
#include "vmm/virtio_console/console.h"
#include "vmm/virtio_device/device_type.h"
#include "vmm/virtio_device/features.h"
#include "vmm/virtio_device/transport_core.h"
#include "vmm/virtio_gpio/gpio.h"
#include "vmm/virtio_i2c/i2c.h"
#include "vmm/virtio_iommu/iommu.h"
#include "vmm/virtio_mem/mem.h"
#include "vmm/virtio_net/net.h"
#include "vmm/virtio_pmem/pmem.h"
#include "vmm/virtio_queue/layout.h"
#include "vmm/virtio_vsock/packet.h"

#define VIRTIO_RING_NO_LEGACY  // functions that are C alone
#ifdef __clang__
#pragma clang diagnostic ignored "-Wkeyword-macro"
#endif
#define class class_  // a field's name
#include <linux/virtio_balloon.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_console.h>
#include <linux/virtio_gpio.h>
#include <linux/virtio_i2c.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_iommu.h>
#include <linux/virtio_mem.h>
#include <linux/virtio_net.h>
#include <linux/virtio_pmem.h>
#include <linux/virtio_ring.h>
#include <linux/virtio_vsock.h>
#undef class

// The same place and size in both; `SHIFT` bytes of theirs come before ours begins.
#define SAME_BEHIND(shift, ours, field, theirs, name)                       \
  static_assert((shift) + offsetof(ours, field) == offsetof(theirs, name)); \
  static_assert(sizeof(ours::field) == sizeof(theirs::name))
#define SAME(ours, field, theirs, name) SAME_BEHIND(0, ours, field, theirs, name)
#define SAME_SIZE(ours, theirs) static_assert(sizeof(ours) == sizeof(theirs))
#define SAME_VALUE(ours, theirs) \
  static_assert(static_cast<unsigned long long>(ours) == static_cast<unsigned long long>(theirs))
#define SAME_BIT(ours, theirs) static_assert((ours) == 1ull << (theirs))

namespace vmm {
namespace {

namespace ring {
using namespace virtio_queue;
using namespace virtio_device;
SAME_SIZE(SplitDescriptor, vring_desc);
SAME(SplitDescriptor, address, vring_desc, addr);
SAME(SplitDescriptor, length, vring_desc, len);
SAME(SplitDescriptor, flags, vring_desc, flags);
SAME(SplitDescriptor, next, vring_desc, next);
SAME_SIZE(PackedDescriptor, vring_packed_desc);
SAME(PackedDescriptor, address, vring_packed_desc, addr);
SAME(PackedDescriptor, length, vring_packed_desc, len);
SAME(PackedDescriptor, id, vring_packed_desc, id);
SAME(PackedDescriptor, flags, vring_packed_desc, flags);
SAME_VALUE(SplitAvail::kFlags, offsetof(vring_avail, flags));
SAME_VALUE(SplitAvail::kIndex, offsetof(vring_avail, idx));
SAME_VALUE(SplitAvail::kRing, offsetof(vring_avail, ring));
SAME_VALUE(SplitUsed::kFlags, offsetof(vring_used, flags));
SAME_VALUE(SplitUsed::kIndex, offsetof(vring_used, idx));
SAME_VALUE(SplitUsed::kRing, offsetof(vring_used, ring));
SAME_VALUE(SplitUsed::entry(3) - SplitUsed::entry(2), sizeof(vring_used_elem));
SAME_VALUE(ring_layout(8, true).driver, sizeof(vring_packed_desc_event));
SAME_VALUE(ring_layout(8, false).driver_alignment, VRING_AVAIL_ALIGN_SIZE);
SAME_VALUE(ring_layout(8, false).device_alignment, VRING_USED_ALIGN_SIZE);
SAME_VALUE(kDescNext, VRING_DESC_F_NEXT);
SAME_VALUE(kDescWrite, VRING_DESC_F_WRITE);
SAME_VALUE(kDescIndirect, VRING_DESC_F_INDIRECT);
SAME_BIT(kDescAvail, VRING_PACKED_DESC_F_AVAIL);
SAME_BIT(kDescUsed, VRING_PACKED_DESC_F_USED);
SAME_VALUE(kAvailNoInterrupt, VRING_AVAIL_F_NO_INTERRUPT);
SAME_VALUE(kUsedNoNotify, VRING_USED_F_NO_NOTIFY);
SAME_VALUE(kEventsEnable, VRING_PACKED_EVENT_FLAG_ENABLE);
SAME_VALUE(kEventsDisable, VRING_PACKED_EVENT_FLAG_DISABLE);
SAME_VALUE(kEventsDescriptor, VRING_PACKED_EVENT_FLAG_DESC);
SAME_BIT(kFeatureIndirect, VIRTIO_RING_F_INDIRECT_DESC);
SAME_BIT(kFeatureEventIdx, VIRTIO_RING_F_EVENT_IDX);
SAME_BIT(kFeatureVersion1, VIRTIO_F_VERSION_1);
SAME_BIT(kFeatureAccessPlatform, VIRTIO_F_ACCESS_PLATFORM);
SAME_BIT(kFeaturePacked, VIRTIO_F_RING_PACKED);
SAME_BIT(kFeatureInOrder, VIRTIO_F_IN_ORDER);
SAME_BIT(kFeatureOrderPlatform, VIRTIO_F_ORDER_PLATFORM);
SAME_BIT(kFeatureSrIov, VIRTIO_F_SR_IOV);
SAME_BIT(kFeatureRingReset, VIRTIO_F_RING_RESET);
SAME_VALUE(kAcknowledge, VIRTIO_CONFIG_S_ACKNOWLEDGE);
SAME_VALUE(kDriver, VIRTIO_CONFIG_S_DRIVER);
SAME_VALUE(kDriverOk, VIRTIO_CONFIG_S_DRIVER_OK);
SAME_VALUE(kFeaturesOk, VIRTIO_CONFIG_S_FEATURES_OK);
SAME_VALUE(kNeedsReset, VIRTIO_CONFIG_S_NEEDS_RESET);
SAME_VALUE(kFailed, VIRTIO_CONFIG_S_FAILED);
SAME_VALUE(DeviceType::kNet, VIRTIO_ID_NET);
SAME_VALUE(DeviceType::kBlock, VIRTIO_ID_BLOCK);
SAME_VALUE(DeviceType::kConsole, VIRTIO_ID_CONSOLE);
SAME_VALUE(DeviceType::kEntropy, VIRTIO_ID_RNG);
SAME_VALUE(DeviceType::kBalloon, VIRTIO_ID_BALLOON);
SAME_VALUE(DeviceType::kScsi, VIRTIO_ID_SCSI);
SAME_VALUE(DeviceType::kGpu, VIRTIO_ID_GPU);
SAME_VALUE(DeviceType::kClock, VIRTIO_ID_CLOCK);
SAME_VALUE(DeviceType::kInput, VIRTIO_ID_INPUT);
SAME_VALUE(DeviceType::kVsock, VIRTIO_ID_VSOCK);
SAME_VALUE(DeviceType::kCrypto, VIRTIO_ID_CRYPTO);
SAME_VALUE(DeviceType::kIommu, VIRTIO_ID_IOMMU);
SAME_VALUE(DeviceType::kMem, VIRTIO_ID_MEM);
SAME_VALUE(DeviceType::kSound, VIRTIO_ID_SOUND);
SAME_VALUE(DeviceType::kFs, VIRTIO_ID_FS);
SAME_VALUE(DeviceType::kPmem, VIRTIO_ID_PMEM);
SAME_VALUE(DeviceType::kScmi, VIRTIO_ID_SCMI);
SAME_VALUE(DeviceType::kI2c, VIRTIO_ID_I2C_ADAPTER);
SAME_VALUE(DeviceType::kWatchdog, VIRTIO_ID_WATCHDOG);
SAME_VALUE(DeviceType::kCan, VIRTIO_ID_CAN);
SAME_VALUE(DeviceType::kGpio, VIRTIO_ID_GPIO);
}  // namespace ring

namespace net {
using namespace virtio_net;
SAME_SIZE(VnetHeader, virtio_net_hdr_v1);
SAME(VnetHeader, flags, virtio_net_hdr_v1, flags);
SAME(VnetHeader, gso_type, virtio_net_hdr_v1, gso_type);
SAME(VnetHeader, header_bytes, virtio_net_hdr_v1, hdr_len);
SAME(VnetHeader, gso_bytes, virtio_net_hdr_v1, gso_size);
SAME(VnetHeader, csum_start, virtio_net_hdr_v1, csum_start);
SAME(VnetHeader, csum_offset, virtio_net_hdr_v1, csum_offset);
SAME(VnetHeader, buffers, virtio_net_hdr_v1, num_buffers);
SAME_VALUE(kNeedsCsum, VIRTIO_NET_HDR_F_NEEDS_CSUM);
SAME_VALUE(kDataValid, VIRTIO_NET_HDR_F_DATA_VALID);
SAME_VALUE(kGsoNone, VIRTIO_NET_HDR_GSO_NONE);
SAME_VALUE(kGsoTcp4, VIRTIO_NET_HDR_GSO_TCPV4);
SAME_VALUE(kGsoUdp, VIRTIO_NET_HDR_GSO_UDP);
SAME_VALUE(kGsoTcp6, VIRTIO_NET_HDR_GSO_TCPV6);
SAME_VALUE(kGsoEcn, VIRTIO_NET_HDR_GSO_ECN);
SAME_VALUE(NetFeature::kCsum, VIRTIO_NET_F_CSUM);
SAME_VALUE(NetFeature::kGuestCsum, VIRTIO_NET_F_GUEST_CSUM);
SAME_VALUE(NetFeature::kCtrlGuestOffloads, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
SAME_VALUE(NetFeature::kMtu, VIRTIO_NET_F_MTU);
SAME_VALUE(NetFeature::kMac, VIRTIO_NET_F_MAC);
SAME_VALUE(NetFeature::kGuestTso4, VIRTIO_NET_F_GUEST_TSO4);
SAME_VALUE(NetFeature::kGuestTso6, VIRTIO_NET_F_GUEST_TSO6);
SAME_VALUE(NetFeature::kGuestEcn, VIRTIO_NET_F_GUEST_ECN);
SAME_VALUE(NetFeature::kGuestUfo, VIRTIO_NET_F_GUEST_UFO);
SAME_VALUE(NetFeature::kHostTso4, VIRTIO_NET_F_HOST_TSO4);
SAME_VALUE(NetFeature::kHostTso6, VIRTIO_NET_F_HOST_TSO6);
SAME_VALUE(NetFeature::kHostEcn, VIRTIO_NET_F_HOST_ECN);
SAME_VALUE(NetFeature::kHostUfo, VIRTIO_NET_F_HOST_UFO);
SAME_VALUE(NetFeature::kMrgRxbuf, VIRTIO_NET_F_MRG_RXBUF);
SAME_VALUE(NetFeature::kStatus, VIRTIO_NET_F_STATUS);
SAME_VALUE(NetFeature::kCtrlVq, VIRTIO_NET_F_CTRL_VQ);
SAME_VALUE(NetFeature::kCtrlRx, VIRTIO_NET_F_CTRL_RX);
SAME_VALUE(NetFeature::kGuestAnnounce, VIRTIO_NET_F_GUEST_ANNOUNCE);
SAME_VALUE(NetFeature::kMq, VIRTIO_NET_F_MQ);
SAME_VALUE(NetFeature::kCtrlMacAddr, VIRTIO_NET_F_CTRL_MAC_ADDR);
}  // namespace net

namespace blk {
using namespace virtio_blk;
SAME_SIZE(RequestHeader, virtio_blk_outhdr);
SAME(RequestHeader, type, virtio_blk_outhdr, type);
SAME(RequestHeader, reserved, virtio_blk_outhdr, ioprio);
SAME(RequestHeader, sector, virtio_blk_outhdr, sector);
SAME_SIZE(RangeSegment, virtio_blk_discard_write_zeroes);
SAME(RangeSegment, sector, virtio_blk_discard_write_zeroes, sector);
SAME(RangeSegment, sectors, virtio_blk_discard_write_zeroes, num_sectors);
SAME(RangeSegment, flags, virtio_blk_discard_write_zeroes, flags);
SAME_VALUE(kSegmentUnmap, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
SAME(BlkConfig, capacity, virtio_blk_config, capacity);
SAME(BlkConfig, size_max, virtio_blk_config, size_max);
SAME(BlkConfig, seg_max, virtio_blk_config, seg_max);
static_assert(offsetof(BlkConfig, cylinders) == offsetof(virtio_blk_config, geometry));
SAME(BlkConfig, blk_size, virtio_blk_config, blk_size);
SAME(BlkConfig, physical_block_exp, virtio_blk_config, physical_block_exp);
SAME(BlkConfig, alignment_offset, virtio_blk_config, alignment_offset);
SAME(BlkConfig, min_io_size, virtio_blk_config, min_io_size);
SAME(BlkConfig, opt_io_size, virtio_blk_config, opt_io_size);
SAME(BlkConfig, writeback, virtio_blk_config, wce);
SAME(BlkConfig, num_queues, virtio_blk_config, num_queues);
SAME(BlkConfig, max_discard_sectors, virtio_blk_config, max_discard_sectors);
SAME(BlkConfig, max_discard_seg, virtio_blk_config, max_discard_seg);
SAME(BlkConfig, discard_sector_alignment, virtio_blk_config, discard_sector_alignment);
SAME(BlkConfig, max_write_zeroes_sectors, virtio_blk_config, max_write_zeroes_sectors);
SAME(BlkConfig, max_write_zeroes_seg, virtio_blk_config, max_write_zeroes_seg);
SAME(BlkConfig, write_zeroes_may_unmap, virtio_blk_config, write_zeroes_may_unmap);
SAME(BlkConfig, max_secure_erase_sectors, virtio_blk_config, max_secure_erase_sectors);
SAME_VALUE(kIdBytes, VIRTIO_BLK_ID_BYTES);
SAME_VALUE(BlkFeature::kSizeMax, VIRTIO_BLK_F_SIZE_MAX);
SAME_VALUE(BlkFeature::kSegMax, VIRTIO_BLK_F_SEG_MAX);
SAME_VALUE(BlkFeature::kGeometry, VIRTIO_BLK_F_GEOMETRY);
SAME_VALUE(BlkFeature::kReadOnly, VIRTIO_BLK_F_RO);
SAME_VALUE(BlkFeature::kBlkSize, VIRTIO_BLK_F_BLK_SIZE);
SAME_VALUE(BlkFeature::kFlush, VIRTIO_BLK_F_FLUSH);
SAME_VALUE(BlkFeature::kTopology, VIRTIO_BLK_F_TOPOLOGY);
SAME_VALUE(BlkFeature::kConfigWce, VIRTIO_BLK_F_CONFIG_WCE);
SAME_VALUE(BlkFeature::kMq, VIRTIO_BLK_F_MQ);
SAME_VALUE(BlkFeature::kDiscard, VIRTIO_BLK_F_DISCARD);
SAME_VALUE(BlkFeature::kWriteZeroes, VIRTIO_BLK_F_WRITE_ZEROES);
SAME_VALUE(RequestType::kIn, VIRTIO_BLK_T_IN);
SAME_VALUE(RequestType::kOut, VIRTIO_BLK_T_OUT);
SAME_VALUE(RequestType::kFlush, VIRTIO_BLK_T_FLUSH);
SAME_VALUE(RequestType::kGetId, VIRTIO_BLK_T_GET_ID);
SAME_VALUE(RequestType::kDiscard, VIRTIO_BLK_T_DISCARD);
SAME_VALUE(RequestType::kWriteZeroes, VIRTIO_BLK_T_WRITE_ZEROES);
SAME_VALUE(Status::kOk, VIRTIO_BLK_S_OK);
SAME_VALUE(Status::kIoError, VIRTIO_BLK_S_IOERR);
SAME_VALUE(Status::kUnsupported, VIRTIO_BLK_S_UNSUPP);
}  // namespace blk

namespace vsock {
using namespace virtio_vsock;
SAME_SIZE(WireHeader, virtio_vsock_hdr);
static_assert(offsetof(WireHeader, src_cid_low) == offsetof(virtio_vsock_hdr, src_cid));
static_assert(offsetof(WireHeader, dst_cid_low) == offsetof(virtio_vsock_hdr, dst_cid));
SAME(WireHeader, src_port, virtio_vsock_hdr, src_port);
SAME(WireHeader, dst_port, virtio_vsock_hdr, dst_port);
SAME(WireHeader, len, virtio_vsock_hdr, len);
SAME(WireHeader, type, virtio_vsock_hdr, type);
SAME(WireHeader, op, virtio_vsock_hdr, op);
SAME(WireHeader, flags, virtio_vsock_hdr, flags);
SAME(WireHeader, buf_alloc, virtio_vsock_hdr, buf_alloc);
SAME(WireHeader, fwd_cnt, virtio_vsock_hdr, fwd_cnt);
SAME_BIT(kFeatureSeqpacket, VIRTIO_VSOCK_F_SEQPACKET);
SAME_VALUE(SocketType::kStream, VIRTIO_VSOCK_TYPE_STREAM);
SAME_VALUE(SocketType::kSeqpacket, VIRTIO_VSOCK_TYPE_SEQPACKET);
SAME_VALUE(Op::kInvalid, VIRTIO_VSOCK_OP_INVALID);
SAME_VALUE(Op::kRequest, VIRTIO_VSOCK_OP_REQUEST);
SAME_VALUE(Op::kResponse, VIRTIO_VSOCK_OP_RESPONSE);
SAME_VALUE(Op::kReset, VIRTIO_VSOCK_OP_RST);
SAME_VALUE(Op::kShutdown, VIRTIO_VSOCK_OP_SHUTDOWN);
SAME_VALUE(Op::kData, VIRTIO_VSOCK_OP_RW);
SAME_VALUE(Op::kCreditUpdate, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
SAME_VALUE(Op::kCreditRequest, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
SAME_VALUE(kShutdownReceive, VIRTIO_VSOCK_SHUTDOWN_RCV);
SAME_VALUE(kShutdownSend, VIRTIO_VSOCK_SHUTDOWN_SEND);
SAME_VALUE(kEndOfMessage, VIRTIO_VSOCK_SEQ_EOM);
SAME_VALUE(kEndOfRecord, VIRTIO_VSOCK_SEQ_EOR);
}  // namespace vsock

namespace balloon {
using namespace virtio_balloon;
SAME_SIZE(Config, virtio_balloon_config);
SAME(Config, num_pages, virtio_balloon_config, num_pages);
SAME(Config, actual, virtio_balloon_config, actual);
SAME(Config, free_page_hint_cmd_id, virtio_balloon_config, free_page_hint_cmd_id);
SAME(Config, poison_val, virtio_balloon_config, poison_val);
SAME_BIT(kFeatureMustTellHost, VIRTIO_BALLOON_F_MUST_TELL_HOST);
SAME_BIT(kFeatureStatistics, VIRTIO_BALLOON_F_STATS_VQ);
SAME_BIT(kFeatureDeflateOnOom, VIRTIO_BALLOON_F_DEFLATE_ON_OOM);
SAME_BIT(kFeatureFreePageHint, VIRTIO_BALLOON_F_FREE_PAGE_HINT);
SAME_BIT(kFeaturePagePoison, VIRTIO_BALLOON_F_PAGE_POISON);
SAME_BIT(kFeaturePageReporting, VIRTIO_BALLOON_F_REPORTING);
}  // namespace balloon

namespace mem {
using namespace virtio_mem;
SAME_SIZE(Config, virtio_mem_config);
SAME(Config, block_size, virtio_mem_config, block_size);
SAME(Config, node_id, virtio_mem_config, node_id);
SAME(Config, addr, virtio_mem_config, addr);
SAME(Config, region_size, virtio_mem_config, region_size);
SAME(Config, usable_region_size, virtio_mem_config, usable_region_size);
SAME(Config, plugged_size, virtio_mem_config, plugged_size);
SAME(Config, requested_size, virtio_mem_config, requested_size);
SAME_SIZE(Request, virtio_mem_req);
SAME(Request, type, virtio_mem_req, type);
SAME(Request, addr, virtio_mem_req, u.plug.addr);
SAME(Request, nb_blocks, virtio_mem_req, u.plug.nb_blocks);
SAME_SIZE(Response, virtio_mem_resp);
SAME(Response, type, virtio_mem_resp, type);
SAME(Response, state, virtio_mem_resp, u.state.state);
SAME_BIT(kFeatureAcpiPxm, VIRTIO_MEM_F_ACPI_PXM);
SAME_BIT(kFeatureUnpluggedInaccessible, VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE);
SAME_VALUE(RequestType::kPlug, VIRTIO_MEM_REQ_PLUG);
SAME_VALUE(RequestType::kUnplug, VIRTIO_MEM_REQ_UNPLUG);
SAME_VALUE(RequestType::kUnplugAll, VIRTIO_MEM_REQ_UNPLUG_ALL);
SAME_VALUE(RequestType::kState, VIRTIO_MEM_REQ_STATE);
SAME_VALUE(ResponseType::kAck, VIRTIO_MEM_RESP_ACK);
SAME_VALUE(ResponseType::kNack, VIRTIO_MEM_RESP_NACK);
SAME_VALUE(ResponseType::kBusy, VIRTIO_MEM_RESP_BUSY);
SAME_VALUE(ResponseType::kError, VIRTIO_MEM_RESP_ERROR);
SAME_VALUE(BlockState::kPlugged, VIRTIO_MEM_STATE_PLUGGED);
SAME_VALUE(BlockState::kUnplugged, VIRTIO_MEM_STATE_UNPLUGGED);
SAME_VALUE(BlockState::kMixed, VIRTIO_MEM_STATE_MIXED);
}  // namespace mem

namespace iommu {
using namespace virtio_iommu;
constexpr std::size_t kHead = sizeof(RequestHead);  // theirs has it in each request
constexpr std::size_t kBoth = kHead + sizeof(Tail);
SAME_SIZE(Config, virtio_iommu_config);
SAME(Config, page_size_mask, virtio_iommu_config, page_size_mask);
SAME(Config, input_first, virtio_iommu_config, input_range.start);
SAME(Config, input_last, virtio_iommu_config, input_range.end);
SAME(Config, domain_first, virtio_iommu_config, domain_range.start);
SAME(Config, domain_last, virtio_iommu_config, domain_range.end);
SAME(Config, probe_size, virtio_iommu_config, probe_size);
SAME(Config, bypass, virtio_iommu_config, bypass);
SAME_SIZE(RequestHead, virtio_iommu_req_head);
SAME_SIZE(Tail, virtio_iommu_req_tail);
static_assert(sizeof(AttachRequest) + kBoth == sizeof(virtio_iommu_req_attach));
SAME_BEHIND(kHead, AttachRequest, domain, virtio_iommu_req_attach, domain);
SAME_BEHIND(kHead, AttachRequest, endpoint, virtio_iommu_req_attach, endpoint);
SAME_BEHIND(kHead, AttachRequest, flags, virtio_iommu_req_attach, flags);
static_assert(sizeof(DetachRequest) + kBoth == sizeof(virtio_iommu_req_detach));
SAME_BEHIND(kHead, DetachRequest, domain, virtio_iommu_req_detach, domain);
SAME_BEHIND(kHead, DetachRequest, endpoint, virtio_iommu_req_detach, endpoint);
static_assert(sizeof(MapRequest) + kBoth == sizeof(virtio_iommu_req_map));
SAME_BEHIND(kHead, MapRequest, domain, virtio_iommu_req_map, domain);
SAME_BEHIND(kHead, MapRequest, first, virtio_iommu_req_map, virt_start);
SAME_BEHIND(kHead, MapRequest, last, virtio_iommu_req_map, virt_end);
SAME_BEHIND(kHead, MapRequest, target, virtio_iommu_req_map, phys_start);
SAME_BEHIND(kHead, MapRequest, flags, virtio_iommu_req_map, flags);
static_assert(sizeof(UnmapRequest) + kBoth == sizeof(virtio_iommu_req_unmap));
SAME_BEHIND(kHead, UnmapRequest, domain, virtio_iommu_req_unmap, domain);
SAME_BEHIND(kHead, UnmapRequest, first, virtio_iommu_req_unmap, virt_start);
SAME_BEHIND(kHead, UnmapRequest, last, virtio_iommu_req_unmap, virt_end);
static_assert(sizeof(ProbeRequest) + kHead == offsetof(virtio_iommu_req_probe, properties));
SAME_BEHIND(kHead, ProbeRequest, endpoint, virtio_iommu_req_probe, endpoint);
SAME_SIZE(ReservedProperty, virtio_iommu_probe_resv_mem);
SAME(ReservedProperty, type, virtio_iommu_probe_resv_mem, head.type);
SAME(ReservedProperty, length, virtio_iommu_probe_resv_mem, head.length);
SAME(ReservedProperty, subtype, virtio_iommu_probe_resv_mem, subtype);
SAME(ReservedProperty, first, virtio_iommu_probe_resv_mem, start);
SAME(ReservedProperty, last, virtio_iommu_probe_resv_mem, end);
SAME_SIZE(Fault, virtio_iommu_fault);
SAME(Fault, reason, virtio_iommu_fault, reason);
SAME(Fault, flags, virtio_iommu_fault, flags);
SAME(Fault, endpoint, virtio_iommu_fault, endpoint);
SAME(Fault, address, virtio_iommu_fault, address);
SAME_BIT(kFeatureInputRange, VIRTIO_IOMMU_F_INPUT_RANGE);
SAME_BIT(kFeatureDomainRange, VIRTIO_IOMMU_F_DOMAIN_RANGE);
SAME_BIT(kFeatureMapUnmap, VIRTIO_IOMMU_F_MAP_UNMAP);
SAME_BIT(kFeatureProbe, VIRTIO_IOMMU_F_PROBE);
SAME_BIT(kFeatureMmio, VIRTIO_IOMMU_F_MMIO);
SAME_BIT(kFeatureBypassConfig, VIRTIO_IOMMU_F_BYPASS_CONFIG);
SAME_VALUE(RequestType::kAttach, VIRTIO_IOMMU_T_ATTACH);
SAME_VALUE(RequestType::kDetach, VIRTIO_IOMMU_T_DETACH);
SAME_VALUE(RequestType::kMap, VIRTIO_IOMMU_T_MAP);
SAME_VALUE(RequestType::kUnmap, VIRTIO_IOMMU_T_UNMAP);
SAME_VALUE(RequestType::kProbe, VIRTIO_IOMMU_T_PROBE);
SAME_VALUE(Status::kOk, VIRTIO_IOMMU_S_OK);
SAME_VALUE(Status::kIoError, VIRTIO_IOMMU_S_IOERR);
SAME_VALUE(Status::kUnsupported, VIRTIO_IOMMU_S_UNSUPP);
SAME_VALUE(Status::kDeviceError, VIRTIO_IOMMU_S_DEVERR);
SAME_VALUE(Status::kInvalid, VIRTIO_IOMMU_S_INVAL);
SAME_VALUE(Status::kRange, VIRTIO_IOMMU_S_RANGE);
SAME_VALUE(Status::kNoEntry, VIRTIO_IOMMU_S_NOENT);
SAME_VALUE(Status::kFault, VIRTIO_IOMMU_S_FAULT);
SAME_VALUE(Status::kNoMemory, VIRTIO_IOMMU_S_NOMEM);
SAME_VALUE(kAttachBypass, VIRTIO_IOMMU_ATTACH_F_BYPASS);
SAME_VALUE(kMapRead, VIRTIO_IOMMU_MAP_F_READ);
SAME_VALUE(kMapWrite, VIRTIO_IOMMU_MAP_F_WRITE);
SAME_VALUE(kMapMmio, VIRTIO_IOMMU_MAP_F_MMIO);
SAME_VALUE(kPropertyReserved, VIRTIO_IOMMU_PROBE_T_RESV_MEM);
SAME_VALUE(kFaultDomain, VIRTIO_IOMMU_FAULT_R_DOMAIN);
SAME_VALUE(kFaultMapping, VIRTIO_IOMMU_FAULT_R_MAPPING);
SAME_VALUE(kFaultRead, VIRTIO_IOMMU_FAULT_F_READ);
SAME_VALUE(kFaultWrite, VIRTIO_IOMMU_FAULT_F_WRITE);
SAME_VALUE(kFaultAddress, VIRTIO_IOMMU_FAULT_F_ADDRESS);
}  // namespace iommu

namespace gpio {
using namespace virtio_gpio;
SAME_SIZE(Request, virtio_gpio_request);
SAME(Request, message, virtio_gpio_request, type);
SAME(Request, line, virtio_gpio_request, gpio);
SAME(Request, value, virtio_gpio_request, value);
SAME_SIZE(Response, virtio_gpio_response);
SAME(Response, status, virtio_gpio_response, status);
SAME(Response, value, virtio_gpio_response, value);
SAME_SIZE(IrqRequest, virtio_gpio_irq_request);
SAME_BIT(kFeatureIrq, VIRTIO_GPIO_F_IRQ);
SAME_VALUE(Message::kGetLineNames, VIRTIO_GPIO_MSG_GET_NAMES);
SAME_VALUE(Message::kGetDirection, VIRTIO_GPIO_MSG_GET_DIRECTION);
SAME_VALUE(Message::kSetDirection, VIRTIO_GPIO_MSG_SET_DIRECTION);
SAME_VALUE(Message::kGetValue, VIRTIO_GPIO_MSG_GET_VALUE);
SAME_VALUE(Message::kSetValue, VIRTIO_GPIO_MSG_SET_VALUE);
SAME_VALUE(Message::kSetIrqType, VIRTIO_GPIO_MSG_IRQ_TYPE);
SAME_VALUE(Status::kOk, VIRTIO_GPIO_STATUS_OK);
SAME_VALUE(Status::kError, VIRTIO_GPIO_STATUS_ERR);
SAME_VALUE(IrqType::kNone, VIRTIO_GPIO_IRQ_TYPE_NONE);
SAME_VALUE(IrqType::kRisingEdge, VIRTIO_GPIO_IRQ_TYPE_EDGE_RISING);
SAME_VALUE(IrqType::kFallingEdge, VIRTIO_GPIO_IRQ_TYPE_EDGE_FALLING);
SAME_VALUE(IrqType::kBothEdges, VIRTIO_GPIO_IRQ_TYPE_EDGE_BOTH);
SAME_VALUE(IrqType::kHighLevel, VIRTIO_GPIO_IRQ_TYPE_LEVEL_HIGH);
SAME_VALUE(IrqType::kLowLevel, VIRTIO_GPIO_IRQ_TYPE_LEVEL_LOW);
SAME_VALUE(IrqStatus::kInvalid, VIRTIO_GPIO_IRQ_STATUS_INVALID);
SAME_VALUE(IrqStatus::kValid, VIRTIO_GPIO_IRQ_STATUS_VALID);
}  // namespace gpio

namespace i2c {
using namespace virtio_i2c;
SAME_SIZE(RequestHeader, virtio_i2c_out_hdr);
SAME(RequestHeader, address, virtio_i2c_out_hdr, addr);
SAME(RequestHeader, flags, virtio_i2c_out_hdr, flags);
SAME_SIZE(Status, virtio_i2c_in_hdr);
SAME_BIT(kFeatureZeroLengthRequest, VIRTIO_I2C_F_ZERO_LENGTH_REQUEST);
SAME_VALUE(kFailNext, VIRTIO_I2C_FLAGS_FAIL_NEXT);
SAME_VALUE(kRead, VIRTIO_I2C_FLAGS_M_RD);
SAME_VALUE(Status::kOk, VIRTIO_I2C_MSG_OK);
SAME_VALUE(Status::kError, VIRTIO_I2C_MSG_ERR);
}  // namespace i2c

SAME_BIT(virtio_console::kFeatureSize, VIRTIO_CONSOLE_F_SIZE);
SAME_BIT(virtio_console::kFeatureEmergencyWrite, VIRTIO_CONSOLE_F_EMERG_WRITE);
SAME_VALUE(virtio_net::kLinkUp, VIRTIO_NET_S_LINK_UP);
SAME_VALUE(virtio_net::kAnnounce, VIRTIO_NET_S_ANNOUNCE);

// Configuration spaces whose structures are their device's own: as a driver of Linux reads them.

template <class Config>
Config config_of(virtio_device::VirtioDevice& device) {
  std::vector<std::byte> bytes(device.config_bytes());
  device.read_config(bytes);
  Config config{};
  std::memcpy(&config, bytes.data(), std::min(bytes.size(), sizeof(config)));
  return config;
}

class Screen final : public virtio_console::ConsoleOutput {
 public:
  std::size_t write(std::span<const std::byte> bytes) override {
    for (const std::byte byte : bytes) text += static_cast<char>(byte);
    return bytes.size();
  }
  [[nodiscard]] int room_fd() const override { return -1; }

  std::string text;
};

TEST_CASE("a console's configuration is where Linux looks for it", "[abi]") {
  Screen screen;
  const auto console =
      *virtio_console::Console::create({.output = &screen, .size = {.columns = 80, .rows = 25}});
  const auto config = config_of<virtio_console_config>(*console);
  CHECK(console->config_bytes() == sizeof(config));
  CHECK(config.cols == 80);
  CHECK(config.rows == 25);
  console->write_config(offsetof(virtio_console_config, emerg_wr), std::array{std::byte{'x'}});
  CHECK(screen.text == "x");
}

TEST_CASE("a network device's configuration is where Linux looks for it", "[abi]") {
  std::vector<virtio_net::NetPort> ports;
  ports.push_back(*virtio_net::NetPort::adopt_socket(socket_pair(SOCK_SEQPACKET).first, true));
  const auto net =
      *virtio_net::Net::create({.mac = {2, 3, 4, 5, 6, 7}, .mtu = 1280}, std::move(ports));
  const auto config = config_of<virtio_net_config>(*net);
  for (std::uint8_t i = 0; i < 6; ++i) CHECK(config.mac[i] == 2 + i);
  CHECK((config.status & VIRTIO_NET_S_LINK_UP) != 0);
  CHECK(config.max_virtqueue_pairs == 1);
  CHECK(config.mtu == 1280);
}

TEST_CASE("persistent memory is where Linux is told that it is", "[abi]") {
  const auto pmem = *virtio_pmem::Pmem::create(virtio_pmem::make_no_flusher());
  pmem->place({.base = GuestAddress(0x10'0000'0000), .size = 0x20'0000});
  const auto config = config_of<virtio_pmem_config>(*pmem);
  CHECK(pmem->config_bytes() == sizeof(config));
  CHECK(config.start == 0x10'0000'0000);
  CHECK(config.size == 0x20'0000);
}

}  // namespace
}  // namespace vmm
