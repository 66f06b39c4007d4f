// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// The messages of the GPU sub-protocol, on the socket of GPU_SET_SOCKET: a GPU back end asks, the
// front end shows. docs/interop/vhost-user-gpu.rst of QEMU. A message is a Header of vhost-user
// without a version in its flags, and one of these structures; numbers have the byte order of the
// machine.

#include <array>
#include <cstddef>
#include <cstdint>

#include "vmm/vhost_user/protocol.h"

namespace vmm::vhost_user::gpu {

/// The requests of the sub-protocol: VHOST_USER_GPU_*.
enum class Code : std::uint32_t {
  kGetProtocolFeatures = 1,
  kSetProtocolFeatures = 2,
  kGetDisplayInfo = 3,
  kCursorPos = 4,
  kCursorPosHide = 5,
  kCursorUpdate = 6,
  kScanout = 7,
  kUpdate = 8,
  kDmabufScanout = 9,
  kDmabufUpdate = 10,
  kGetEdid = 11,
  kDmabufScanout2 = 12,
};

inline constexpr std::uint32_t kReply = 4;  ///< of Header::flags

/// Bytes of one message: an update of 4096 x 4096 pixels.
inline constexpr std::size_t kMaxPayload = 20 + (std::size_t{64} << 20);
inline constexpr std::uint32_t kMaxScanouts = 16;   ///< VIRTIO_GPU_MAX_SCANOUTS
inline constexpr std::size_t kMaxEdidBytes = 1024;  ///< of EdidAnswer

///@{
/// Bits of VHOST_USER_GPU_GET_PROTOCOL_FEATURES.
inline constexpr std::uint64_t kFeatureEdid = 1 << 0;
inline constexpr std::uint64_t kFeatureDmabuf2 = 1 << 1;
///@}

/// CURSOR_POS and CURSOR_POS_HIDE.
struct CursorPos {
  ///@{
  /// VhostUserGpuCursorPos: pixels from the left and from the top.
  std::uint32_t scanout = 0;
  std::uint32_t x = 0;
  std::uint32_t y = 0;
  ///@}
};
static_assert(sizeof(CursorPos) == 12);

/// CURSOR_UPDATE: 64 x 64 pixels, 32 bits each, premultiplied ARGB.
struct CursorUpdate {
  ///@{
  /// VhostUserGpuCursorUpdate: hot_x and hot_y are in pixels of the cursor.
  CursorPos pos;
  std::uint32_t hot_x = 0;
  std::uint32_t hot_y = 0;
  std::array<std::uint32_t, 64 * 64> pixels{};
  ///@}
};
static_assert(sizeof(CursorUpdate) == 20 + 16384);

/// SCANOUT: 0 x 0 switches it off.
struct Scanout {
  ///@{
  /// VhostUserGpuScanout: pixels.
  std::uint32_t scanout = 0;
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  ///@}
};
static_assert(sizeof(Scanout) == 12);

/// The front of UPDATE, which width * height pixels of 32 bits follow, and all of DMABUF_UPDATE,
/// which is answered when the buffer may be changed again.
struct Update {
  ///@{
  /// VhostUserGpuUpdate: pixels of the scanout.
  std::uint32_t scanout = 0;
  std::uint32_t x = 0;
  std::uint32_t y = 0;
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  ///@}
};
static_assert(sizeof(Update) == 20);

/// DMABUF_SCANOUT; the buffer's descriptor comes with it, none switches it off.
struct DmabufScanout {
  ///@{
  /// VhostUserGpuDMABUFScanout: the part of the buffer that is shown, then the buffer, whose stride
  /// is in bytes and whose format is one of drm_fourcc.h.
  std::uint32_t scanout = 0;
  std::uint32_t x = 0;
  std::uint32_t y = 0;
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  std::uint32_t fd_width = 0;
  std::uint32_t fd_height = 0;
  std::uint32_t fd_stride = 0;
  std::uint32_t fd_flags = 0;
  std::uint32_t fd_drm_fourcc = 0;
  ///@}
};
static_assert(sizeof(DmabufScanout) == 40);

/// DMABUF_SCANOUT2.
struct DmabufScanout2 {
  DmabufScanout scanout;                    ///< as there
  std::array<std::uint32_t, 2> modifier{};  ///< 64 bits, low half first on a little-endian machine
};
static_assert(sizeof(DmabufScanout2) == 48);

/// GET_EDID.
struct GetEdid {
  std::uint32_t scanout = 0;  ///< below kMaxScanouts
};
static_assert(sizeof(GetEdid) == 4);

/// The control header of a GPU's answers: virtio 1.3, 5.7.6.7. Little-endian.
struct ControlHeader {
  ///@{
  /// `struct virtio_gpu_ctrl_hdr`, where they are called fence_id and ctx_id.
  std::uint32_t type = 0;
  std::uint32_t flags = 0;
  std::uint64_t fence = 0;
  std::uint32_t context = 0;
  std::uint32_t padding = 0;
  ///@}
};
static_assert(sizeof(ControlHeader) == 24);

/// The answer to GET_EDID.
struct EdidAnswer {
  ///@{
  /// `struct virtio_gpu_resp_edid`, where `bytes` is called size.
  ControlHeader header;
  std::uint32_t bytes = 0;
  std::uint32_t padding = 0;
  std::array<std::uint8_t, kMaxEdidBytes> edid{};
  ///@}
};
static_assert(sizeof(EdidAnswer) == 1056);

/// A display of DisplayInfo.
struct Display {
  ///@{
  /// `struct virtio_gpu_display_one`: pixels.
  std::uint32_t x = 0;
  std::uint32_t y = 0;
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  std::uint32_t enabled = 0;
  std::uint32_t flags = 0;
  ///@}
};
static_assert(sizeof(Display) == 24);

/// The answer to GET_DISPLAY_INFO.
struct DisplayInfo {
  ///@{
  /// `struct virtio_gpu_resp_display_info`, where `displays` is called pmodes.
  ControlHeader header;
  std::array<Display, kMaxScanouts> displays{};
  ///@}
};
static_assert(sizeof(DisplayInfo) == 408);

}  // namespace vmm::vhost_user::gpu
