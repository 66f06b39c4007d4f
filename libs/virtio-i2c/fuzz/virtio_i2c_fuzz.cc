// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A driver of two buses with chips: what they do is what it asked for, in its order, and it is told
// so (bus_watch.h). A byte of 0xee is not acknowledged. Each transaction that is an SMBus command
// looks the same as one.

#include <array>

#include "bus_watch.h"
#include "src/smbus.h"
#include "vmm/virtio_i2c/i2c.h"

namespace {

using namespace vmm::virtio_i2c;

constexpr std::array kFirst{Address{.number = 0x20}, Address{.number = 0x3ff, .ten_bit = true}};
constexpr std::array kSecond{Address{.number = 0x30}};

/// What a command has on the wire: bytes written, then so many read.
struct Wire {
  std::vector<std::byte> written;
  std::size_t read = 0;
};

Wire wire_of(const SmbusCommand& command) {
  Wire wire;
  const bool reads = command.read_write == I2C_SMBUS_READ;
  const auto write = [&wire](std::uint32_t byte) { wire.written.push_back(std::byte(byte)); };
  const auto* const block = command.data.block;
  if (command.size == I2C_SMBUS_QUICK) return wire;
  if (command.size != I2C_SMBUS_BYTE || !reads) write(command.command);
  switch (command.size) {
    case I2C_SMBUS_BYTE_DATA:
      if (!reads) write(command.data.byte);
      break;
    case I2C_SMBUS_WORD_DATA:
    case I2C_SMBUS_PROC_CALL:
      if (reads && command.size == I2C_SMBUS_WORD_DATA) break;
      write(command.data.word & 0xffu);
      write(command.data.word >> 8);
      break;
    case I2C_SMBUS_BLOCK_DATA:
      require(!reads);
      write(block[0]);
      [[fallthrough]];
    case I2C_SMBUS_I2C_BLOCK_DATA:
      for (std::size_t i = 1; !reads && i <= block[0]; ++i) write(block[i]);
      break;
    default:
      break;
  }
  const bool two = command.size == I2C_SMBUS_WORD_DATA || command.size == I2C_SMBUS_PROC_CALL;
  if (command.size == I2C_SMBUS_I2C_BLOCK_DATA) {
    wire.read = reads ? block[0] : 0;
  } else if (reads || command.size == I2C_SMBUS_PROC_CALL) {
    wire.read = two ? 2 : 1;
  }
  return wire;
}

/// What was read comes where it belongs.
void check_answer(SmbusCommand command, std::span<std::byte> to) {
  const bool is_block = command.size == I2C_SMBUS_I2C_BLOCK_DATA;
  for (std::size_t i = is_block ? 1 : 0; i <= I2C_SMBUS_BLOCK_MAX; ++i) {
    command.data.block[i] = static_cast<std::uint8_t>(0x80 + i);
  }
  require(take_answer(command, to).has_value());
  for (std::size_t i = 0; i < to.size(); ++i) {
    require(to[i] == std::byte(0x80 + i + (is_block ? 1 : 0)));
  }
}

void check_smbus(std::span<const Message> messages) {
  const auto command = to_smbus(messages, I2C_FUNC_SMBUS_EMUL);
  if (!command) return;
  const Wire wire = wire_of(*command);
  std::span<const std::byte> written = wire.written;
  std::size_t read = wire.read;
  for (const Message& message : messages) {
    require(message.address == command->address);
    if (message.read) {
      require(message.data.size() == read && written.empty());
      read = 0;
    } else {
      require(message.data.size() <= written.size() &&
              std::equal(message.data.begin(), message.data.end(), written.begin()));
      written = written.subspan(message.data.size());
    }
  }
  require(written.empty() && read == 0);
  if (messages.back().read) check_answer(*command, messages.back().data);
}

/// Looks at each transaction as an adapter that can do SMBus alone does.
class SmbusToo final : public Adapter {
 public:
  explicit SmbusToo(std::shared_ptr<Adapter> adapter) : adapter_(std::move(adapter)) {}
  vmm::Result<void> transfer(std::span<const Message> messages) override {
    require(!messages.empty());
    check_smbus(messages);
    return adapter_->transfer(messages);
  }

 private:
  std::shared_ptr<Adapter> adapter_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // The bits from the second byte on are the features that the driver does not want.
  // ZERO_LENGTH_REQUEST it must want, or the device refuses it.
  if (size > 1 && (data[1] & kFeatureZeroLengthRequest) != 0) return 0;
  Input input(data, size);
  std::array<SeenList, 2> seen;
  BusWatch::Places places;
  places[0x40] = {.address = kFirst[0], .bus = &seen[0]};
  places[0xfff6] = {.address = kFirst[1], .bus = &seen[0]};
  places[0x60] = {.address = kSecond[0], .bus = &seen[1]};
  BusWatch watch(std::move(places));
  const auto bus = [&watch](std::span<const Address> chips, SeenList& list) {
    return I2c::Bus{
        std::make_shared<SmbusToo>(std::make_shared<WatchedAdapter>(chips, watch, list)),
        {chips.begin(), chips.end()}};
  };
  const auto device = *I2c::create({bus(kFirst, seen[0]), bus(kSecond, seen[1])});
  fuzz_device(device, input, {}, &watch);
  return 0;
}
