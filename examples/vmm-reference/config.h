// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace vmm::reference {

/// Where the bytes of a character device go.
struct ConsoleConfig {
  enum class Mode {
    kOff,   ///< there is no such device
    kNull,  ///< the device is there, its output is dropped
    kPty,   ///< a new pseudo-terminal
    kTty,   ///< standard output, and standard input when that is a terminal
    kFile,  ///< `path`, truncated
  };

  Mode mode = Mode::kNull;
  std::string path;
  /// Our own key: on a terminal, Ctrl-a x ends the VMM and Ctrl-a Ctrl-a sends one Ctrl-a.
  bool escape = false;
};

struct CpusConfig {
  /// Threads per core, cores per die, dies per package, packages.
  struct Topology {
    std::uint32_t threads, cores, dies, packages;
  };
  struct Affinity {
    std::uint32_t vcpu;
    std::vector<std::uint64_t> host_cpus;
  };

  std::uint32_t boot = 1;
  std::optional<Topology> topology;
  std::uint32_t max_phys_bits = 46;
  bool nested = true;
  std::vector<Affinity> affinity;
};

struct MemoryConfig {
  std::uint64_t size = std::uint64_t{512} << 20;  ///< bytes
  bool mergeable = false;
  bool shared = false;
  bool hugepages = false;
  std::uint64_t hugepage_size = 0;  ///< bytes; 0: the host's default
  bool prefault = false;
  bool reserve = false;
  bool thp = true;
};

/// Limits of a rate: what may pass at once, and how long it takes to get that allowance back.
struct RateLimitConfig {
  struct Bucket {
    std::uint64_t size = 0;            ///< bytes or operations; 0: no limit
    std::uint64_t one_time_burst = 0;  ///< once, on top of `size`
    std::uint64_t refill_ms = 0;       ///< from empty to full

    friend bool operator==(const Bucket&, const Bucket&) = default;
  };

  Bucket bandwidth;
  Bucket ops;

  [[nodiscard]] bool limits() const { return bandwidth.size != 0 || ops.size != 0; }
  friend bool operator==(const RateLimitConfig&, const RateLimitConfig&) = default;
};

/// What all virtio devices have.
struct DeviceConfig {
  std::string id;  ///< unique; empty: the VMM makes one
  std::uint16_t pci_segment = 0;
  std::optional<std::uint8_t> pci_device;  ///< the slot; nullopt: the lowest that is free
  // Our own keys, for tests of drivers.
  bool packed = true;     ///< offer packed rings
  bool event_idx = true;  ///< offer event indices
};

struct DiskConfig {
  enum class Format { kDetect, kRaw, kQcow2 };

  DeviceConfig device;
  std::string path;
  bool readonly = false;
  bool direct = false;
  std::uint16_t queue_size = 128;
  std::uint16_t num_queues = 1;
  std::string rate_limit_group;
  RateLimitConfig rate_limit;
  std::vector<CpusConfig::Affinity> queue_affinity;  ///< `vcpu` is the queue
  std::string serial;
  bool backing_files = false;
  bool sparse = true;
  Format format = Format::kDetect;
  bool lock_whole_file = false;
  bool io_uring = true;
};

struct NetConfig {
  DeviceConfig device;
  bool user = false;                       ///< our own key: user-mode networking
  std::vector<std::string> host_forwards;  ///< our own key, of user mode: tcp:PORT:PORT
  std::string tap;                         ///< empty: a new one, named by the kernel
  std::string ip;                          ///< of the tap on the host; empty: left alone
  std::string mask;
  std::optional<std::array<std::uint8_t, 6>> mac;       ///< nullopt: random
  std::optional<std::array<std::uint8_t, 6>> host_mac;  ///< of the tap; nullopt: left alone
  std::optional<std::uint16_t> mtu;
  std::uint16_t queue_size = 256;
  std::uint16_t num_queues = 2;  ///< receiving and transmitting ones together
  std::vector<int> fds;          ///< open taps instead of `tap`, one for each pair
  bool offload_tso = true;
  bool offload_ufo = true;
  bool offload_csum = true;
  RateLimitConfig rate_limit;
};

struct VsockConfig {
  DeviceConfig device;
  std::uint32_t cid = 0;
  std::string socket;
};

struct RngConfig {
  DeviceConfig device;
  std::string source = "/dev/urandom";
};

struct BalloonConfig {
  DeviceConfig device;
  std::uint64_t size = 0;  ///< bytes that the guest is to give back from the start
  bool deflate_on_oom = false;
  bool free_page_reporting = false;
};

struct PmemConfig {
  DeviceConfig device;
  std::string file;
  std::uint64_t size = 0;  ///< bytes; 0: the file's
  bool discard_writes = false;
};

struct RateLimitGroupConfig {
  std::string id;
  RateLimitConfig rate_limit;
};

/// How virtio devices are reached.
enum class Transport { kPci, kMmio };

/// Everything that the command line says about the VM.
struct VmConfig {
  std::string kernel;     ///< empty: firmware
  std::string firmware;   ///< empty: kernel
  std::string initramfs;  ///< empty: none
  std::string cmdline;
  std::string dtb;          ///< a device tree to use as it is; empty: the VMM makes one
  std::string dtb_overlay;  ///< merged into the VMM's device tree; empty: none
  CpusConfig cpus;
  MemoryConfig memory;
  ConsoleConfig serial;
  ConsoleConfig debug_console{.mode = ConsoleConfig::Mode::kOff, .path = {}, .escape = false};
  std::uint16_t debug_console_port = 0xe9;

  Transport transport = Transport::kPci;
  ConsoleConfig console{.mode = ConsoleConfig::Mode::kTty, .path = {}, .escape = false};
  DeviceConfig console_device;
  std::vector<DiskConfig> disks;
  std::vector<NetConfig> nets;
  std::optional<RngConfig> rng;
  std::vector<PmemConfig> pmems;
  std::optional<VsockConfig> vsock;
  std::optional<BalloonConfig> balloon;
  bool watchdog = false;
  std::optional<DeviceConfig> rtc;
  std::vector<RateLimitGroupConfig> rate_limit_groups;
};

}  // namespace vmm::reference
