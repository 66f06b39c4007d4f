// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "iommu_worker.h"

#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "vmm/event_manager/turn.h"
#include "vmm/virtio_iommu/iommu.h"

namespace vmm::virtio_iommu {
namespace {

using virtio_device::QueueRunner;
using virtio_queue::Chain;
using virtio_queue::Reader;

constexpr std::uint16_t kRequests = 0;
constexpr std::uint16_t kEvents = 1;

Tail tail_of(Status status) {
  return {.status = static_cast<std::uint8_t>(status), .reserved = {}};
}

void put(std::span<std::byte> properties, const std::vector<ReservedRange>& reserved) {
  for (const ReservedRange& range : reserved) {
    const ReservedProperty property{
        .type = Le16(kPropertyReserved),
        .length = Le16(static_cast<std::uint16_t>(sizeof(ReservedProperty) - 4)),
        .subtype = static_cast<std::uint8_t>(range.msi ? 1 : 0),
        .reserved = {},
        .first = Le64(range.first),
        .last = Le64(range.last)};
    if (properties.size() < sizeof(property)) return;
    std::memcpy(properties.data(), &property, sizeof(property));
    properties = properties.subspan(sizeof(property));
  }
}

}  // namespace

IommuWorker::IommuWorker(std::shared_ptr<Domains> domains, std::shared_ptr<FaultLog> faults,
                         std::shared_ptr<const EndpointNumbers> numbers,
                         virtio_device::Activation activation)
    : domains_(std::move(domains)),
      faults_(std::move(faults)),
      numbers_(std::move(numbers)),
      map_unmap_(activation.has(kFeatureMapUnmap)) {
  for (virtio_device::ActiveQueue& queue : activation.queues) {
    auto& runner = queue.index == kRequests ? requests_ : events_;
    if (queue.index <= kEvents) runner.emplace(std::move(queue), activation.interrupt);
  }
}

Result<void> IommuWorker::start(event_manager::EventLoop& loop) {
  if (requests_) VMM_TRY_DO(requests_->start(loop, [this] { serve(); }));
  if (!events_) return {};
  VMM_TRY_DO(events_->start(loop, [this] { report(); }));
  VMM_TRY(fault_watch_,
          loop.add(faults_->fd(), event_manager::kReadable, [this](event_manager::EventSet) {
            faults_->calm();
            report();
          }));
  return {};
}

// Endpoints follow once for all requests of a round, before the driver sees the first answer.
void IommuWorker::serve() {
  if (requests_->broken()) return;
  if (!requests_->queue().refresh()) return (void)requests_->pop(chain_);  // tells the driver
  requests_->queue().disable_notifications();
  const event_manager::Turn turn;  // to attach an endpoint may be a long request
  std::uint32_t left = QueueRunner::kBudget;
  while (left != 0 && requests_->pop_or_listen(chain_)) {
    requests_->complete(chain_.head(), answer(chain_));
    left = turn.over() ? 0 : left - 1;
  }
  domains_->commit();
  if (requests_->broken()) return;
  requests_->flush();
  if (left == 0) requests_->kick_again();
}

std::uint32_t IommuWorker::added_as(std::uint32_t number) const {
  constexpr std::uint32_t kNobody = 0xffff'ffff;
  return numbers_ == nullptr ? number : numbers_->added_as(number).value_or(kNobody);
}

std::uint32_t IommuWorker::answer(const Chain& chain) {
  Reader reader = chain.reader();
  const auto head = reader.read_obj<RequestHead>();
  if (!head || chain.writable_bytes() < sizeof(Tail)) return 0;
  const auto type = static_cast<RequestType>(head->type);
  if ((type == RequestType::kMap || type == RequestType::kUnmap) && !map_unmap_) return 0;
  switch (type) {
    case RequestType::kAttach:
      return answer_plain<AttachRequest>(reader, chain, [this](auto r) {
        r.endpoint = Le32(added_as(r.endpoint.get()));
        return domains_->attach(r);
      });
    case RequestType::kDetach:
      return answer_plain<DetachRequest>(reader, chain, [this](auto r) {
        r.endpoint = Le32(added_as(r.endpoint.get()));
        return domains_->detach(r);
      });
    case RequestType::kMap:
      return answer_plain<MapRequest>(reader, chain,
                                      [this](const auto& r) { return domains_->map(r); });
    case RequestType::kUnmap:
      return answer_plain<UnmapRequest>(reader, chain,
                                        [this](const auto& r) { return domains_->unmap(r); });
    case RequestType::kProbe:
      return answer_probe(reader, chain);
  }
  return 0;
}

template <class Request, class Execute>
std::uint32_t IommuWorker::answer_plain(Reader& reader, const Chain& chain, Execute&& execute) {
  const auto request = reader.read_obj<Request>();
  if (!request) return 0;
  (void)chain.writer().write_obj(tail_of(execute(*request)));
  return sizeof(Tail);
}

// The status is behind the properties; where these have less room than probe_size says, it is at
// the end of the buffer, as a driver with another idea of the size would look for it there.
std::uint32_t IommuWorker::answer_probe(Reader& reader, const Chain& chain) {
  const auto request = reader.read_obj<ProbeRequest>();
  if (!request) return 0;
  std::array<std::byte, kProbeBytes + sizeof(Tail)> bytes{};
  const std::size_t room =
      std::min<std::size_t>(chain.writable_bytes() - sizeof(Tail), kProbeBytes);
  Status status = Status::kOk;
  if (room < kProbeBytes) {
    status = Status::kInvalid;
  } else if (const auto reserved = domains_->probe(added_as(request->endpoint.get()))) {
    put(std::span(bytes).first(kProbeBytes), *reserved);
  } else {
    status = Status::kNoEntry;
  }
  const Tail tail = tail_of(status);
  std::memcpy(bytes.data() + room, &tail, sizeof(tail));
  return static_cast<std::uint32_t>(
      chain.writer().write(std::span(bytes).first(room + sizeof(tail))));
}

// Faults wait here while the driver has no buffers; a kick tells of new ones.
void IommuWorker::report() {
  if (events_->broken()) return;
  if (!events_->queue().refresh()) return (void)events_->pop(chain_);  // tells the driver
  std::uint32_t left = QueueRunner::kBudget;
  for (; left != 0; --left) {
    auto fault = faults_->oldest();
    if (!fault || !events_->pop_or_listen(chain_)) break;
    const bool fits = chain_.writable_bytes() >= sizeof(Fault);
    if (fits) {
      if (numbers_) fault->endpoint = Le32(numbers_->number_of(fault->endpoint.get()));
      (void)chain_.writer().write_obj(*fault);
      faults_->drop_oldest();
    }
    events_->complete(chain_.head(), fits ? std::uint32_t{sizeof(Fault)} : 0u);
  }
  if (events_->broken()) return;
  events_->flush();
  if (left == 0) events_->kick_again();
}

}  // namespace vmm::virtio_iommu
