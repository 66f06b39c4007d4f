// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vhost_user_options.h"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <utility>
#include <vector>

#include "device_keys.h"
#include "device_options.h"
#include "option_keys.h"

namespace vmm::reference {
namespace {

struct TypeName {
  std::string_view name;
  std::uint32_t number;
};
constexpr std::uint32_t kTypeIommu = 23;
constexpr std::uint32_t kTypeWatchdog = 35;
// Virtio 1.3, section 5, and what was reserved since, under the names that people know.
constexpr std::array kTypeNames{TypeName{"net", 1},
                                TypeName{"block", 2},
                                TypeName{"console", 3},
                                TypeName{"rng", 4},
                                TypeName{"balloon", 5},
                                TypeName{"iomem", 6},
                                TypeName{"rpmsg", 7},
                                TypeName{"scsi", 8},
                                TypeName{"9p", 9},
                                TypeName{"mac80211_wlan", 10},
                                TypeName{"rproc_serial", 11},
                                TypeName{"caif", 12},
                                TypeName{"memory_balloon", 13},
                                TypeName{"gpu", 16},
                                TypeName{"clock", 17},
                                TypeName{"rtc", 17},
                                TypeName{"input", 18},
                                TypeName{"vsock", 19},
                                TypeName{"crypto", 20},
                                TypeName{"signal_dist", 21},
                                TypeName{"pstore", 22},
                                TypeName{"mem", 24},
                                TypeName{"sound", 25},
                                TypeName{"fs", 26},
                                TypeName{"pmem", 27},
                                TypeName{"rpmb", 28},
                                TypeName{"mac80211_hwsim", 29},
                                TypeName{"video_encoder", 30},
                                TypeName{"video_decoder", 31},
                                TypeName{"scmi", 32},
                                TypeName{"nitro_sec_mod", 33},
                                TypeName{"i2c", 34},
                                TypeName{"can", 36},
                                TypeName{"dmabuf", 37},
                                TypeName{"param_serv", 38},
                                TypeName{"audio_policy", 39},
                                TypeName{"bt", 40},
                                TypeName{"gpio", 41},
                                TypeName{"rdma", 42},
                                TypeName{"camera", 43},
                                TypeName{"ism", 44},
                                TypeName{"spi", 45},
                                TypeName{"tee", 46},
                                TypeName{"cpu_balloon", 47},
                                TypeName{"media", 48},
                                TypeName{"usb", 49},
                                TypeName{"iommu", kTypeIommu},
                                TypeName{"watchdog", kTypeWatchdog}};

// A number, or a name. virtio_id is what the key was called before.
Outcome<std::uint32_t> parse_device_type(const OptionValue& value) {
  const char* const key = value.text("device_type") ? "device_type" : "virtio_id";
  const auto text = value.text(key);
  if (!text) return fail(value.error("device_type", "required"));
  const auto named = std::ranges::find(kTypeNames, std::string_view(*text), &TypeName::name);
  const auto number = named != kTypeNames.end() ? std::optional<std::uint64_t>(named->number)
                                                : parse_integer(*text);
  if (!number || *number == 0 || *number > 63) {
    return fail(value.error(key, "\"" + *text + "\" is not a type of virtio devices"));
  }
  if (*number == kTypeIommu || *number == kTypeWatchdog) {
    return fail(value.error(key, *text + " cannot be served by another process"));
  }
  return static_cast<std::uint32_t>(*number);
}

Outcome<std::vector<std::uint16_t>> parse_queue_sizes(const OptionValue& value) {
  VMM_TRY(const std::string text, required(value, "queue_sizes"));
  const auto sizes = parse_integer_list(text, 256);
  if (!sizes || sizes->empty()) {
    return fail(value.error("queue_sizes", "\"" + text + "\" is not [SIZE,...]"));
  }
  std::vector<std::uint16_t> all;
  for (const std::uint64_t size : *sizes) {
    if (size == 0 || size > 32768 || (size & (size - 1)) != 0) {
      return fail(value.error("queue_sizes", std::to_string(size) + " is not a power of two"));
    }
    all.push_back(static_cast<std::uint16_t>(size));
  }
  return all;
}

// Of the window's BAR, which has one page at least. Beside dax=off it means nothing: programs that
// knew older cloud-hypervisors write both.
Outcome<std::uint64_t> parse_cache_size(const OptionValue& value, bool dax) {
  if (!value.has("cache_size")) return std::uint64_t{0};
  if (!dax && value.has("dax")) return std::uint64_t{0};
  if (!dax) return fail(value.error("cache_size", "needs dax=on"));
  VMM_TRY(const std::uint64_t bytes, value.bytes("cache_size", 0));
  if (bytes < 4096 || !std::has_single_bit(bytes)) {
    return fail(value.error("cache_size", "not a power of two of 4K at least"));
  }
  return bytes;
}

}  // namespace

Outcome<std::string> parse_vhost_socket(const OptionValue& value,
                                        std::initializer_list<std::string_view> ours) {
  VMM_TRY(const bool on, value.toggle("vhost_user", false));
  const auto socket = value.text("socket");
  if (!on) {
    if (socket) return fail(value.error("socket", "needs vhost_user"));
    return std::string();
  }
  for (const std::string_view key : ours) {
    if (value.text(key)) return fail(value.error(key, "not together with vhost_user"));
  }
  if (!socket) return fail(value.error("socket", "required"));
  return std::string(*socket);
}

Outcome<bool> parse_vhost_mode(const OptionValue& value) {
  VMM_TRY(const std::size_t mode, value.choice("vhost_mode", {"client", "server"}, 0));
  return mode == 1;
}

namespace {

std::string names_of(std::initializer_list<std::pair<const char*, bool>> keys) {
  std::string text;
  for (const auto& [name, given] : keys) {
    if (given) text += (text.empty() ? "" : ", ") + std::string(name);
  }
  return text;
}

}  // namespace

std::string passed_over(const DiskConfig& disk) {
  return names_of({{"readonly", disk.readonly},
                   {"direct", disk.direct},
                   {"serial", !disk.serial.empty()},
                   {"image_type", disk.format != DiskConfig::Format::kDetect},
                   {"backing_files", disk.backing_files},
                   {"pin_memory", disk.pin_memory}});
}

std::string passed_over(const NetConfig& net) {
  return names_of(
      {{"tap", !net.tap.empty()}, {"ip", !net.ip.empty()}, {"host_mac", net.host_mac.has_value()}});
}

Outcome<void> parse_fs(const std::string& text, VmConfig& vm) {
  FsConfig fs;
  VMM_TRY(const OptionValue value, parse_value("--fs", text));
  VMM_TRY(fs.device, parse_device(value));
  VMM_TRY(fs.tag, required(value, "tag"));
  if (fs.tag.size() > 36) return fail(value.error("tag", "longer than 36 bytes"));
  VMM_TRY(fs.vhost_socket, required(value, "socket"));
  VMM_TRY(const std::uint64_t queues, value.integer("num_queues", fs.num_queues, 1, 255));
  fs.num_queues = static_cast<std::uint16_t>(queues);
  VMM_TRY(fs.queue_size, parse_queue_size(value, fs.queue_size));
  VMM_TRY(fs.dax, value.toggle("dax", false));
  VMM_TRY(fs.cache_bytes, parse_cache_size(value, fs.dax));
  vm.file_systems.push_back(std::move(fs));
  return {};
}

Outcome<void> parse_generic_vhost_user(const std::string& text, VmConfig& vm) {
  GenericVhostUserConfig generic;
  VMM_TRY(const OptionValue value, parse_value("--generic-vhost-user", text));
  VMM_TRY(generic.device, parse_device(value));
  VMM_TRY(generic.device_type, parse_device_type(value));
  VMM_TRY(generic.queue_sizes, parse_queue_sizes(value));
  VMM_TRY(generic.vhost_socket, required(value, "socket"));
  vm.generics.push_back(std::move(generic));
  return {};
}

}  // namespace vmm::reference
