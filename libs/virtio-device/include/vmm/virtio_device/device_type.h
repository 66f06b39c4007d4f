// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

namespace vmm::virtio_device {

/// What a device is: virtio 1.3, section 5.
enum class DeviceType : std::uint32_t {
  kNet = 1,
  kBlock = 2,
  kConsole = 3,
  kEntropy = 4,
  kBalloon = 5,
  kScsi = 8,
  kGpu = 16,
  kClock = 17,
  kInput = 18,
  kVsock = 19,
  kCrypto = 20,
  kIommu = 23,
  kMem = 24,
  kSound = 25,
  kFs = 26,
  kPmem = 27,
  kWatchdog = 35,  ///< reserved for it; the device is described where it is implemented
  kI2c = 34,
  kCan = 36,
  kScmi = 32,
  kGpio = 41,
};

}  // namespace vmm::virtio_device
