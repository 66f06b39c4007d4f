// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace vmm::reference {

/// Where the bytes of a character device go.
struct ConsoleConfig {
  enum class Mode {
    kOff,     ///< there is no such device
    kNull,    ///< the device is there, its output is dropped
    kPty,     ///< a new pseudo-terminal
    kTty,     ///< standard output, and standard input when that is a terminal
    kFile,    ///< `path`, truncated
    kSocket,  ///< whoever connects to the Unix socket at `path`
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
  /// Who may run on the other thread of a core at the same time as a vCPU.
  enum class CoreScheduling : std::uint8_t {
    kVm,    ///< the VM's vCPUs
    kVcpu,  ///< nobody
    kOff,   ///< anybody
  };

  std::uint32_t boot = 1;
  std::uint32_t max_asked = 0;  ///< room for more, which there is not: a warning; 0: none asked for
  std::optional<Topology> topology;
  std::uint32_t max_phys_bits = 46;
  bool nested = true;
  std::vector<Affinity> affinity;
  std::optional<CoreScheduling> core_scheduling;  ///< nullopt: kVm
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
  std::string file;                   ///< passed over, with a warning
  bool virtio_mem = false;            ///< how `hotplug_size` comes and goes; otherwise it is 0
  std::uint64_t hotplug_size = 0;     ///< bytes that may come while the guest runs
  std::uint64_t hotplugged_size = 0;  ///< of them, those that the guest is to have
  std::uint64_t acpi_room_asked = 0;  ///< bytes without virtio-mem, which there are not: a warning

  /// Whether other processes can be given it: huge pages are shared, asked for or not.
  [[nodiscard]] bool is_shared() const { return shared || hugepages; }
  /// What comes and goes at once: `hotplug_size` and `hotplugged_size` are multiples of it.
  [[nodiscard]] std::uint64_t hot_block_bytes() const {
    constexpr std::uint64_t kLeast = std::uint64_t{2} << 20;
    return hugepage_size > kLeast ? hugepage_size : kLeast;
  }
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

/// A PCI segment: how much of the windows for BARs it gets, compared with the others.
struct PciSegmentConfig {
  static constexpr std::uint32_t kMost = 96;
  static constexpr std::uint32_t kMaxWeight = 10'000;

  std::uint32_t mmio32_weight = 1;
  std::uint32_t mmio64_weight = 1;
};

/// What all virtio devices have.
struct DeviceConfig {
  /// Of an id: it is in messages, in events and in names of threads.
  static constexpr std::size_t kMostIdBytes = 255;

  std::string id;  ///< unique; empty: the VMM makes one
  std::uint16_t pci_segment = 0;
  std::optional<std::uint8_t> pci_device;  ///< the slot; nullopt: the lowest that is free
  bool iommu = false;                      ///< it is behind the virtual IOMMU
  // Our own keys, for tests of drivers.
  bool packed = true;     ///< offer packed rings
  bool event_idx = true;  ///< offer event indices
};

struct DiskConfig {
  enum class Format { kDetect, kRaw, kQcow2, kVhd, kVhdx };
  enum class Lock { kByteRange, kFull, kQemu };

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
  Lock lock = Lock::kByteRange;
  std::uint32_t guest_block_bytes = 0;  ///< 0: as the image has them
  bool io_uring = true;
  bool pin_memory = false;   ///< our own key: guest memory is registered with io_uring
  std::string vhost_socket;  ///< of the back end that serves the disk; empty: the VMM does
};

struct NetConfig {
  DeviceConfig device;
  bool user = false;                       ///< our own key: user-mode networking
  bool vhost = false;                      ///< our own key: the kernel moves the packets
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
  std::string vhost_socket;   ///< of the back end that serves it; empty: the VMM does
  bool vhost_server = false;  ///< the back end connects to us
};

/// A file system of the host, which another process serves.
struct FsConfig {
  DeviceConfig device;
  std::string tag;  ///< what the guest mounts: 1 to 36 bytes
  std::string vhost_socket;
  std::uint16_t num_queues = 1;  ///< of requests; there is one besides, of high priority
  std::uint16_t queue_size = 1024;
  bool dax = false;               ///< the back end maps files into a window that the guest sees
  std::uint64_t cache_bytes = 0;  ///< of that window; 0: as much as the back end says
};

/// A device of any type, which another process serves.
struct GenericVhostUserConfig {
  DeviceConfig device;
  std::uint32_t device_type = 0;  ///< virtio 1.3, section 5
  std::vector<std::uint16_t> queue_sizes;
  std::string vhost_socket;
};

struct VsockConfig {
  DeviceConfig device;
  std::uint32_t cid = 0;
  std::string socket;
  bool vhost = false;  ///< our own key: the kernel's AF_VSOCK instead of `socket`
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

/// A device of the host for the guest.
struct HostDeviceConfig {
  DeviceConfig device;
  std::string path;               ///< in sysfs
  bool unsafe_noiommu = false;    ///< also where no IOMMU is in front of it
  std::uint8_t trapped_bars = 0;  ///< BARs that the guest reaches through the VMM alone, a bit each
};

/// A PCI device that another process serves by vfio-user.
struct UserDeviceConfig {
  DeviceConfig device;
  std::string socket;  ///< where the server listens
};

/// Who the machine says it is, in its SMBIOS tables; empty: our own name, or nothing.
struct IdentityConfig {
  std::string manufacturer;
  std::string product_name;
  std::string version;
  std::string serial_number;
  std::string uuid;
  std::string sku_number;
  std::string family;
  std::string chassis_asset_tag;
  std::vector<std::string> oem_strings;

  friend bool operator==(const IdentityConfig&, const IdentityConfig&) = default;
};

struct RateLimitGroupConfig {
  std::string id;
  RateLimitConfig rate_limit;
};

/// Files that the VMM may open besides those that the configuration names.
struct LandlockRule {
  std::string path;
  bool read = false;
  bool write = false;
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
  std::vector<PciSegmentConfig> pci_segments = std::vector<PciSegmentConfig>(1);
  std::vector<std::uint16_t> iommu_segments;  ///< all devices on them are behind the IOMMU
  bool iommu = false;                         ///< there is an IOMMU even if nothing is behind it
  std::uint8_t iommu_address_bits = 64;
  IdentityConfig identity;
  ConsoleConfig console{.mode = ConsoleConfig::Mode::kTty, .path = {}, .escape = false};
  DeviceConfig console_device;
  std::vector<DiskConfig> disks;
  std::vector<NetConfig> nets;
  RngConfig rng;  ///< each VM has one
  std::vector<GenericVhostUserConfig> generics;
  std::vector<FsConfig> file_systems;
  std::vector<PmemConfig> pmems;
  std::vector<HostDeviceConfig> host_devices;
  std::optional<bool> iommufd;  ///< how to hold them; nullopt: as the host can
  bool vfio_p2p_dma = true;     ///< they reach each other's BARs
  std::vector<UserDeviceConfig> user_devices;
  std::optional<VsockConfig> vsock;
  std::optional<BalloonConfig> balloon;
  bool watchdog = false;
  bool pvpanic = false;
  std::optional<DeviceConfig> rtc;
  std::vector<RateLimitGroupConfig> rate_limit_groups;
  bool landlock = false;  ///< only the files that the configuration names can be opened
  std::vector<LandlockRule> landlock_rules;
  unsigned next_number = 0;  ///< of the next id that the VMM makes
  /// Ids of devices that have left the configuration and not the guest: not for others.
  std::set<std::string> leaving_ids;
};

}  // namespace vmm::reference
