// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "pci_board.h"

#include <algorithm>
#include <utility>

#include "opener.h"
#include "vmm/base/log.h"
#include "vmm/pci/config_access.h"
#include "vmm/pci/function.h"
#include "vmm/virtio_iommu/memory_endpoint.h"
#include "vmm/virtio_pci/pci_transport.h"

namespace vmm::reference {

using vm_device::PioAddress;

namespace {

// Of a bus: its share of the numbers that MSI messages carry.
constexpr std::uint32_t kRequesters = 256;

/// A virtio device on the bus, with what has to live as long: a vCPU that is reading its
/// configuration space when it is removed may be the last to let go of it, though it may not do
/// what the end of devices needs.
struct VirtioFunction {
  std::shared_ptr<virtio_iommu::MemoryEndpoint> endpoint;  // nullptr: not behind the IOMMU
  std::vector<std::shared_ptr<IoThread>> threads;
  std::unique_ptr<virtio_device::Workers> workers;
  std::shared_ptr<virtio_pci::PciTransport> transport;
};

}  // namespace

PciBoard::PciBoard(const Parts& parts)
    : memory_(parts.memory),
      slots_(parts.slots),
      msi_(parts.msi),
      has_ports_(parts.root_ports),
      iommu_(parts.iommu),
      doorbells_(parts.vm),
      vectors_(parts.vm, parts.routes),
      intx_(parts.intx) {}

PciBoard::~PciBoard() {
  if (iommu_ != nullptr) iommu_->retire();
  for (const Place& place : places_) {
    if (place.window != nullptr) place.window->use(nullptr);
  }
}

Outcome<std::unique_ptr<PciBoard>> PciBoard::create(const Parts& parts) {
  std::unique_ptr<PciBoard> board(new PciBoard(parts));
  for (const PciSpace& space : parts.segments) VMM_TRY_DO(board->add_segment(parts, space));
  if (parts.ports != nullptr) {
    VMM_STEP_DO("PCI configuration ports",
                parts.ports->add(PioAddress(pci::ConfigPorts::kBase), pci::ConfigPorts::kSize,
                                 std::make_shared<pci::ConfigPorts>(board->segments_.front())));
  }
  return board;
}

Outcome<void> PciBoard::add_segment(const Parts& parts, const PciSpace& space) {
  const auto number = static_cast<std::uint16_t>(segments_.size());
  const auto window = [](const AddressRange& range) {
    return range.size == 0 ? std::nullopt : std::optional(range);
  };
  const auto buses = static_cast<std::uint32_t>(space.ecam.size / kBusBytes);
  const std::optional<std::uint32_t> msi_device_base =
      parts.msi_device_ids ? std::optional(number * buses * kRequesters) : std::nullopt;
  VMM_STEP("PCI", std::shared_ptr<pci::Segment> segment,
           pci::Segment::create(
               {.number = number,
                .buses = {.mmio = parts.mmio, .ports = parts.ports},
                .windows = {.memory32 = window(space.window32), .memory64 = window(space.window64)},
                .intx = &intx_,
                .msi_device_base = msi_device_base}));
  VMM_STEP_DO("PCI host bridge", segment->add(pci::make_host_bridge(), {.slot = std::uint8_t{0}}));
  VMM_STEP_DO("PCI configuration space", parts.mmio.add(space.ecam.base, space.ecam.size,
                                                        std::make_shared<pci::Ecam>(segment)));
  segments_.push_back(std::move(segment));
  buses_.push_back(buses);
  return {};
}

Outcome<void> PciBoard::add(const std::vector<DeviceSlot>& devices) {
  for (const DeviceSlot& device : devices) {
    VMM_TRY_DO(reserve(device.id, device.config));
  }
  for (const DeviceSlot& device : devices) VMM_TRY_DO(add(device));
  return {};
}

Outcome<void> PciBoard::reserve(const std::vector<HostDeviceConfig>& devices) {
  for (const HostDeviceConfig& device : devices) {
    VMM_TRY_DO(reserve("--device: path=" + device.path, device.device));
  }
  return {};
}

Outcome<void> PciBoard::reserve(const std::vector<UserDeviceConfig>& devices) {
  for (const UserDeviceConfig& device : devices) {
    VMM_TRY_DO(reserve("--user-device: socket=" + device.socket, device.device));
  }
  return {};
}

Outcome<void> PciBoard::reserve(const std::string& name, const DeviceConfig& device) {
  if (!device.pci_device) return {};
  VMM_STEP_DO(name + ": pci_device_id", segments_[device.pci_segment]->reserve(*device.pci_device));
  return {};
}

Outcome<void> PciBoard::add_iommu() {
  if (iommu_ == nullptr) return {};
  VMM_TRY(const pci::FunctionAddress address, add(iommu_->slot()));
  iommu_->placed(address);
  return {};
}

Outcome<pci::FunctionAddress> PciBoard::place(const std::string& name, const DeviceConfig& device,
                                              Other&& other, std::shared_ptr<KvmWindow> window) {
  other.function = ended_by_opener(std::move(other.function));
  VMM_TRY(const pci::FunctionAddress address, put(name, device, std::move(other)));
  const GuestPlace at = seen_at(address);
  VMM_LOG(kInfo, "%s: PCI function %04x:%02x:%02x.%x", name.c_str(), at.segment, at.bus, at.slot,
          at.function);
  places_.push_back({.id = device.id, .address = address, .window = std::move(window)});
  return address;
}

Outcome<pci::FunctionAddress> PciBoard::put_on_root_bus(const std::string& name,
                                                        const DeviceConfig& device, Other&& other) {
  pci::Segment& segment = *segments_[device.pci_segment];
  VMM_STEP(name, const pci::FunctionAddress address,
           segment.add(std::move(other.function), {.slot = device.pci_device}));
  const auto follow = [&]() -> Outcome<void> {
    if (other.endpoint != nullptr) {
      return iommu_->add(name, {.address = address}, std::move(other.endpoint));
    }
    if (iommu_ == nullptr || !iommu_->was_told(address)) return {};
    return fail(runtime(name + ": the guest knows that a device in this slot is behind the IOMMU"));
  };
  if (auto followed = follow(); !followed) {
    (void)segment.remove(address.slot);
    return fail(std::move(followed).error());
  }
  return address;
}

void PciBoard::remove_from_root_bus(const pci::FunctionAddress& address) {
  (void)segments_[address.segment]->remove(address.slot);
  if (iommu_ == nullptr) return;
  iommu_->remove(address);
  // The slot is for another device behind the IOMMU that asks for it, as the guest's tables stay.
  const bool lone = iommu_->was_told(address) && !iommu_->has_all_of(address.segment);
  if (lone) (void)segments_[address.segment]->reserve(address.slot);
}

// Behind a port, if it may leave. Without a bus for that one it is where it would be without ports.
// A guest is told of whole segments, with the buses behind ports, or of single slots that are none.
Outcome<pci::FunctionAddress> PciBoard::put(const std::string& name, const DeviceConfig& device,
                                            Other&& other) {
  const bool may_go = !device.iommu || iommu_->has_all_of(device.pci_segment);
  if (has_ports_ && tells_ && !may_go) {
    return fail(
        runtime(name + ": iommu: devices behind the IOMMU come to a segment of iommu_segments"));
  }
  const bool leaves = has_ports_ && !other.stays && may_go;
  if (!leaves || (!tells_ && !has_bus_for_port(device.pci_segment))) {
    return put_on_root_bus(name, device, std::move(other));
  }
  VMM_TRY(const Port port, port_for(name, device));
  return put_behind_port(name, port, std::move(other));
}

// The guest may look there as soon as it is in the slot: it follows the IOMMU before.
Outcome<pci::FunctionAddress> PciBoard::put_behind_port(const std::string& name, const Port& port,
                                                        Other&& other) {
  using Moment = pci::RootPort::Moment;
  const bool behind_iommu = other.endpoint != nullptr;
  if (behind_iommu) {
    VMM_TRY_DO(iommu_->add(name, {.address = port.address, .behind_port = true},
                           std::move(other.endpoint)));
  }
  const auto inserted =
      port.port->insert(std::move(other.function), tells_ ? Moment::kLater : Moment::kFromStart);
  if (!inserted && behind_iommu) iommu_->remove(port.address);
  VMM_STEP_DO(name, inserted);
  return port.address;
}

// A running guest does not get new ports.
Outcome<PciBoard::Port> PciBoard::port_for(const std::string& name, const DeviceConfig& device) {
  if (!tells_) return make_port(name, device.pci_segment, device.pci_device);
  for (const Port& port : ports_) {
    if (port.address.segment != device.pci_segment) continue;
    if (device.pci_device && port.address.slot != *device.pci_device) continue;
    if (!port.port->occupied()) return port;
  }
  return fail(
      runtime(name + (device.pci_device ? ": pci_device_id: there is no free port in that slot"
                                        : ": all ports of the segment are taken")));
}

Outcome<PciBoard::Port> PciBoard::make_port(const std::string& name, std::uint16_t segment,
                                            std::optional<std::uint8_t> slot) {
  std::unique_ptr<vm_device::MsiVectors> vector;
  if (msi_) {
    VMM_STEP(name, vector, vectors_.create_vectors(1));
  }
  VMM_STEP(name, std::shared_ptr<pci::RootPort> made,
           pci::RootPort::create(
               {.vector = std::move(vector), .listener = static_cast<EjectListener&>(*this)}));
  VMM_STEP(name, const auto address, segments_[segment]->add(made, {.slot = slot}));
  const auto before = [](const Port& a, const Port& b) {
    return std::pair(a.address.segment, a.address.slot) <
           std::pair(b.address.segment, b.address.slot);
  };
  if (iommu_ != nullptr) iommu_->add_port(address, made);
  Port port{.address = address, .port = std::move(made)};
  ports_.insert(std::ranges::upper_bound(ports_, port, before), port);
  return port;
}

bool PciBoard::has_bus_for_port(std::uint16_t segment) const {
  const auto ports = std::ranges::count_if(
      ports_, [segment](const Port& port) { return port.address.segment == segment; });
  return static_cast<std::uint32_t>(ports) + 1 < buses_[segment];
}

Outcome<void> PciBoard::add_spare_ports() {
  constexpr std::uint32_t kAll = ~std::uint32_t{0};
  for (std::uint16_t segment = 0; has_ports_ && segment < segments_.size(); ++segment) {
    for (std::uint8_t i = 0; i < kSparePorts && has_bus_for_port(segment); ++i) {
      if (segments_[segment]->occupied() == kAll) break;
      VMM_TRY_DO(make_port("PCI port", segment, std::nullopt));
    }
  }
  tells_ = true;
  return {};
}

pci::RootPort* PciBoard::port_at(const pci::FunctionAddress& address) const {
  const auto found = std::ranges::find(ports_, address, &Port::address);
  return found == ports_.end() ? nullptr : found->port.get();
}

bool PciBoard::may_leave(const std::string& id) const {
  const auto address = find(id);
  return !has_ports_ || !address || port_at(*address) != nullptr;
}

void PciBoard::ask_at_port(const pci::FunctionAddress& address) {
  if (pci::RootPort* const port = port_at(address)) (void)port->ask();
}

// On a vCPU's thread, or in ask_at_port().
void PciBoard::ejected(pci::FunctionAddress address) {
  if (listener_ != nullptr) listener_->ejected(address);
}

GuestPlace PciBoard::seen_at(const pci::FunctionAddress& address) const {
  const pci::RootPort* const port = port_at(address);
  if (port == nullptr) {
    return {
        .segment = address.segment, .bus = 0, .slot = address.slot, .function = address.function};
  }
  std::uint8_t bus = port->bus();
  if (bus == 0) {
    const auto before = std::ranges::count_if(ports_, [&address](const Port& one) {
      return one.address.segment == address.segment && one.address.slot < address.slot;
    });
    bus = static_cast<std::uint8_t>(before + 1);
  }
  return {.segment = address.segment, .bus = bus, .slot = 0, .function = 0};
}

Outcome<pci::FunctionAddress> PciBoard::add(const std::string& name, const DeviceConfig& device,
                                            Other&& other) {
  return place(name, device, std::move(other), nullptr);
}

Outcome<pci::FunctionAddress> PciBoard::add(const DeviceSlot& device) {
  const auto whole = std::make_shared<VirtioFunction>();
  if (device.config.iommu) whole->endpoint = std::make_shared<virtio_iommu::MemoryEndpoint>();
  const auto endpoint = whole->endpoint;
  whole->threads = device.threads;
  whole->workers = device.workers();
  VMM_STEP(device.id, whole->transport,
           virtio_pci::PciTransport::create({.device = device.device,
                                             .memory = endpoint ? endpoint->memory() : memory_,
                                             .workers = *whole->workers,
                                             .doorbells = doorbells_,
                                             .vectors = vectors(),
                                             .queue_features = device.queue_features(),
                                             .behind_iommu = endpoint != nullptr,
                                             .lone_driver = true}));
  if (device.window != nullptr) device.window->use(&slots_);
  DeviceConfig config = device.config;
  config.id = device.id;
  auto placed = place(device.id, config,
                      {.function = std::shared_ptr<pci::Function>(whole, whole->transport.get()),
                       .endpoint = endpoint,
                       .stays = device.stays},
                      device.window);
  if (!placed && device.window != nullptr) device.window->use(nullptr);
  return placed;
}

void PciBoard::remove(const std::string& id) {
  const auto found = std::ranges::find(places_, id, &Place::id);
  if (found == places_.end()) return;
  const pci::FunctionAddress address = found->address;
  if (pci::RootPort* const port = port_at(address)) {
    (void)port->remove();
    if (iommu_ != nullptr) iommu_->remove(address);
  } else {
    remove_from_root_bus(address);
  }
  VMM_LOG(kInfo, "%s: off its PCI bus", id.c_str());
  if (found->window != nullptr) found->window->use(nullptr);
  places_.erase(found);
}

std::vector<PciBoard::Placed> PciBoard::placed() const {
  std::vector<Placed> all;
  for (const Place& place : places_) {
    if (!place.id.empty()) all.push_back({.id = place.id, .place = seen_at(place.address)});
  }
  return all;
}

std::optional<pci::FunctionAddress> PciBoard::find(const std::string& id) const {
  const auto found = std::ranges::find(places_, id, &Place::id);
  return found == places_.end() ? std::nullopt : std::optional(found->address);
}

std::string PciBoard::id_at(const pci::FunctionAddress& address) const {
  const auto found = std::ranges::find(places_, address, &Place::address);
  return found == places_.end() ? std::string() : found->id;
}

}  // namespace vmm::reference
