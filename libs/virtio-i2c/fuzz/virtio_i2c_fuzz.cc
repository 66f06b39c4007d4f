// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

#include <array>

#include "device_fuzz.h"
#include "src/smbus.h"
#include "vmm/virtio_i2c/i2c.h"
#include "vmm/virtio_i2c/simulated_adapter.h"

namespace {

using namespace vmm::virtio_i2c;

constexpr std::array kFirst{Address{.number = 0x20}, Address{.number = 0x3ff, .ten_bit = true}};
constexpr std::array kSecond{Address{.number = 0x30}};

/// Looks at each transaction as an adapter that can do SMBus alone does, then simulates it.
class SmbusOrSimulated final : public Adapter {
 public:
  explicit SmbusOrSimulated(std::span<const Address> chips)
      : chips_(*SimulatedAdapter::create(chips)) {}

  vmm::Result<void> transfer(std::span<const Message> messages) override {
    require(!messages.empty() && messages.size() <= kMaxMessages);
    for (const Message& message : messages) require(message.data.size() <= kMaxMessageBytes);
    const auto command = to_smbus(messages, I2C_FUNC_SMBUS_EMUL);
    if (command && messages.back().read) (void)take_answer(*command, messages.back().data);
    return chips_->transfer(messages);
  }

 private:
  std::shared_ptr<SimulatedAdapter> chips_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // The bits from the second byte on are the features that the driver does not want.
  // ZERO_LENGTH_REQUEST it must want, or the device refuses it.
  if (size > 1 && (data[1] & kFeatureZeroLengthRequest) != 0) return 0;
  Input input(data, size);
  const auto device = *I2c::create(
      {{std::make_shared<SmbusOrSimulated>(kFirst), {kFirst.begin(), kFirst.end()}},
       {std::make_shared<SmbusOrSimulated>(kSecond), {kSecond.begin(), kSecond.end()}}});
  fuzz_device(device, input);
  return 0;
}
