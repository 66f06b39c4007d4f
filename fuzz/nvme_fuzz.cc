// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A driver of the NVMe controller of examples/vfio-user and the client in between: registers,
// commands, memory that comes and goes, and states of other programs. Whatever comes: nothing is
// written outside of the memory that was given for writing, nor behind the namespace, a state that
// is refused changes nothing, and after a reset the controller identifies itself, writes and reads.

#include "nvme_fuzz.h"

#include <sys/eventfd.h>

#include <memory>
#include <utility>

#include "fuzz_fds.h"
#include "nvme_controller.h"
#include "vmm/base/payload.h"
#include "vmm/vfio/device.h"
#include "vmm/vfio_user/dma_space.h"
#include "vmm/vfio_user/interrupts.h"

namespace {

using namespace vmm;
using namespace vmm::nvme;
using namespace vmm::nvme_fuzz;
using State = vfio::MigrationState;

// Memory, in pages of the driver's addresses: 24 to write to, 4 that are asked for by messages, 4
// to read only.
constexpr std::uint64_t kIova = 0x10'0000;
constexpr std::uint64_t kRamPages = 24;
constexpr std::uint64_t kAskedPages = 4;
constexpr std::uint64_t kReadOnlyPages = 4;
constexpr std::uint32_t kQueueEntries = 8;

constexpr std::uint64_t page(std::uint64_t number) { return kIova + number * kPage; }

/// All that is around a controller.
class Host {
 public:
  Host() {
    std::ranges::fill(read_only_.inside(), std::byte{0x11});
    for (std::size_t i = 0; i < 3; ++i) give_memory(i, true);
    attach(make_controller());
  }
  ~Host() { controller_->detached(); }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  [[nodiscard]] Controller& controller() { return *controller_; }

  void set(std::uint64_t offset, std::uint32_t value) {
    (void)controller_->write(0, offset, bytes_of(value));
  }
  /// Starts the controller; its admin queues are pages 0 and 1.
  void enable() {
    set(kConfiguration, 0);
    set(kAdminSizes, (kQueueEntries - 1) << 16 | (kQueueEntries - 1));
    set(kAdminSubmissions, static_cast<std::uint32_t>(page(0)));
    set(kAdminSubmissions + 4, 0);
    set(kAdminCompletions, static_cast<std::uint32_t>(page(1)));
    set(kAdminCompletions + 4, 0);
    set(kConfiguration, kEnable);
    tails_ = {};
    heads_ = {};
  }
  /// Queues `number`, of a page each.
  void create_queues(std::uint16_t number, std::uint32_t vector) {
    const std::uint32_t size = (kQueueEntries - 1) << 16;
    send(0,
         {.opcode = 5, .prp1 = page(2u * number + 1), .words = {size | number, vector << 16 | 3}});
    send(0, {.opcode = 1,
             .prp1 = page(2u * number),
             .words = {size | number, std::uint32_t{number} << 16 | 1}});
    tails_[number] = heads_[number] = 0;
  }
  /// Puts a command where a queue of ours would be, and takes one answer.
  Completion send(std::uint16_t queue, const Command& command) {
    write_memory(2u * queue * kPage + tails_[queue] * sizeof(Command), bytes_of(command));
    tails_[queue] = (tails_[queue] + 1) % kQueueEntries;
    set(kDoorbells + queue * 8u, tails_[queue]);
    Completion answer;
    const std::uint64_t at = (2u * queue + 1) * kPage + heads_[queue] * sizeof(Completion);
    std::ranges::copy(ram_.inside().subspan(static_cast<std::size_t>(at), sizeof(answer)),
                      std::as_writable_bytes(std::span(&answer, 1)).begin());
    heads_[queue] = (heads_[queue] + 1) % kQueueEntries;
    set(kDoorbells + queue * 8u + 4, heads_[queue]);
    return answer;
  }
  void write_memory(std::uint64_t at, std::span<const std::byte> bytes) const {
    const auto ram = ram_.inside();
    if (at >= ram.size()) return;
    const auto part = ram.subspan(static_cast<std::size_t>(at));
    std::ranges::copy(bytes.first(std::min(bytes.size(), part.size())), part.begin());
  }

  /// Memory number 0 to 2 is there, or is not.
  void give_memory(std::size_t which, bool is_there) {
    constexpr std::uint32_t kBoth = vfio_user::DmaMap::kRead | vfio_user::DmaMap::kWrite;
    const std::array maps{
        vfio_user::DmaMap{
            .flags = kBoth, .offset = kPage, .iova = page(0), .bytes = kRamPages * kPage},
        vfio_user::DmaMap{.flags = kBoth, .iova = page(kRamPages), .bytes = kAskedPages * kPage},
        vfio_user::DmaMap{.flags = vfio_user::DmaMap::kRead,
                          .offset = kPage,
                          .iova = page(kRamPages + kAskedPages),
                          .bytes = kReadOnlyPages * kPage}};
    const std::array fds{ram_.fd(), -1, read_only_.fd()};
    const auto& map = maps[which];
    if (is_there) {
      (void)dma_.add(map, fds[which]);
    } else {
      (void)dma_.remove({.iova = map.iova, .bytes = map.bytes});
    }
  }
  /// Somebody hears a vector, or the pin (9).
  void listen(std::uint32_t vector) {
    const bool is_pin = vector == Controller::kVectors;
    std::array<UniqueFd, 1> fds{UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))};
    vfio_user::IrqSet set;
    set.flags = vfio_user::IrqSet::kDataFds | vfio_user::IrqSet::kTrigger;
    set.index = static_cast<std::uint32_t>(is_pin ? vfio::PciIrq::kIntx : vfio::PciIrq::kMsix);
    set.first = is_pin ? 0 : vector;
    set.count = 1;
    require(interrupts_->set(set, {}, fds).has_value());
  }
  void mask_pin(bool masked) {
    vfio_user::IrqSet set;
    set.flags = vfio_user::IrqSet::kDataNone |
                (masked ? vfio_user::IrqSet::kMask : vfio_user::IrqSet::kUnmask);
    set.index = static_cast<std::uint32_t>(vfio::PciIrq::kIntx);
    set.count = 1;
    require(interrupts_->set(set, {}, {}).has_value());
  }

  void go(State state) { (void)controller_->migration()->go(state); }
  /// To another program and on.
  void migrate() {
    auto& from = *controller_->migration();
    if (from.state() != State::kRunning || !from.go(State::kStopCopy)) return;
    std::array<std::byte, sizeof(ControllerState)> bytes{};
    require(*from.save(std::span(bytes).first(100)) == 100);
    require(*from.save(std::span(bytes).subspan(100)) == bytes.size() - 100);
    require(*from.save(bytes) == 0);
    require(load(bytes));
    go(State::kRunning);
  }
  /// Gives a new controller a state. One that it takes replaces ours, and stands still; else
  /// nothing has changed.
  bool load(std::span<const std::byte> bytes) {
    auto other = make_controller();
    const ControllerState before = other->get_state();
    require(other->migration()->go(State::kResuming).has_value());
    require(other->migration()->restore(bytes).has_value());
    const bool is_taken = other->migration()->go(State::kStop).has_value();
    const ControllerState after = other->get_state();
    if (!is_taken) {
      require(std::ranges::equal(bytes_of(after), bytes_of(before)));
      return false;
    }
    auto wanted = exactly_as<ControllerState>(bytes);
    require(wanted.has_value());
    forget_unused(*wanted);
    require(std::ranges::equal(bytes_of(after), bytes_of(*wanted)));
    attach(std::move(other));
    return true;
  }

  void check() const {
    disk_.check();
    require(ram_.guards_are_whole() && read_only_.guards_are_whole());
    require(
        std::ranges::all_of(read_only_.inside(), [](std::byte b) { return b == std::byte{0x11}; }));
  }
  /// After a reset it does what it should.
  void prove_alive() {
    for (std::size_t i = 0; i < 3; ++i) give_memory(i, true);
    require(controller_->reset().has_value());
    controller_->migration()->back_to_running();
    enable();
    create_queues(1, 0);
    for (const auto& [data, opcode] : {std::pair{std::byte{0x77}, 1}, std::pair{std::byte{0}, 2}}) {
      const auto part = ram_.inside().subspan(20 * kPage, 512);
      std::ranges::fill(part, data);
      const Completion answer = send(1, {.opcode = static_cast<std::uint8_t>(opcode),
                                         .id = 9,
                                         .name_space = 1,
                                         .prp1 = page(20),
                                         .words = {5}});
      require(answer.id == 9 && answer.status >> 1 == 0);
      require(std::ranges::equal(disk_.block(5), part) && part[0] == std::byte{0x77});
    }
  }

 private:
  [[nodiscard]] std::unique_ptr<Controller> make_controller() const {
    return std::make_unique<Controller>(disk_.open(), Disk::kBytes, "fuzz");
  }
  void attach(std::unique_ptr<Controller> controller) {
    if (controller_) controller_->detached();
    interrupts_.reset();
    controller_ = std::move(controller);
    interrupts_ = std::make_unique<vfio_user::Interrupts>(*controller_);
    controller_->attached(dma_, *interrupts_);
  }
  // What a state says of queues that do not exist is not kept.
  static void forget_unused(ControllerState& state) {
    for (auto& queue : state.submissions) {
      if (queue.entries == 0) queue = {};
    }
    for (auto& queue : state.completions) {
      if (queue.entries == 0) queue = {};
    }
  }

  Disk disk_;
  Memory ram_{kRamPages};
  Memory read_only_{kReadOnlyPages};
  std::vector<std::byte> asked_ = std::vector<std::byte>(kAskedPages * kPage);
  // What the session asks of its client is inside of what the client gave.
  [[nodiscard]] std::span<std::byte> asked(std::uint64_t iova, std::size_t bytes) {
    require(iova >= page(kRamPages) && iova - page(kRamPages) <= asked_.size());
    const auto offset = static_cast<std::size_t>(iova - page(kRamPages));
    require(bytes <= asked_.size() - offset);
    return std::span(asked_).subspan(offset, bytes);
  }
  using Began = vfio_user::DmaSpace::Began;
  vfio_user::DmaSpace dma_{{.read =
                                [this](std::uint64_t iova, std::span<std::byte> to, Began) {
                                  std::ranges::copy(asked(iova, to.size()), to.begin());
                                  return Result<void>();
                                },
                            .write =
                                [this](std::uint64_t iova, std::span<const std::byte> from, Began) {
                                  std::ranges::copy(from, asked(iova, from.size()).begin());
                                  return Result<void>();
                                }}};
  std::unique_ptr<Controller> controller_;
  std::unique_ptr<vfio_user::Interrupts> interrupts_;
  std::array<std::uint32_t, Controller::kIoQueues + 1> tails_{};
  std::array<std::uint32_t, Controller::kIoQueues + 1> heads_{};
};

/// Steps that a script asks for.
class Player {
 public:
  explicit Player(Input& input) : input_(input) {}

  void play() {
    for (int step = 0; step < 64 && !input_.empty(); ++step) act(input_.byte());
    host_.check();
    host_.prove_alive();
    host_.check();
  }

 private:
  void act(std::uint8_t kind) {
    switch (kind % 12) {
      case 0:
        return host_.set(input_.byte() % 16u * 4u, input_.take<std::uint32_t>());
      case 1:
        return host_.set(kDoorbells + input_.byte() % 20u * 4u, input_.take<std::uint16_t>());
      case 2:
      case 3:
        return send();
      case 4:
        return host_.enable();
      case 5:
        return create_queues();
      case 6:
        return write_memory();
      case 7:
        return access();
      case 8:
        return change_memory();
      case 9:
        return host_.migrate();
      case 10:
        return load_state();
      default:
        return other(input_.byte());
    }
  }

  // An address that is often one of memory.
  std::uint64_t address() {
    const std::uint8_t number = input_.byte();
    if (number == 0xff) return input_.take<std::uint64_t>();
    return page(number % 32u) + ((number & 0x80) != 0 ? input_.take<std::uint16_t>() % kPage : 0);
  }
  void send() {
    const auto queue = static_cast<std::uint16_t>(input_.byte() % (Controller::kIoQueues + 1u));
    Command command{.opcode = input_.byte(), .id = 1, .name_space = input_.byte()};
    command.prp1 = address();
    command.prp2 = address();
    command.words[0] = input_.take<std::uint16_t>();
    command.words[2] = input_.byte();
    if ((command.opcode & 0x80) != 0) {
      command.opcode &= 0x7f;
      for (std::uint32_t& word : command.words) word = input_.take<std::uint32_t>();
    }
    host_.send(queue, command);
  }
  void create_queues() {
    const std::uint8_t what = input_.byte();
    host_.create_queues(static_cast<std::uint16_t>(1 + what % Controller::kIoQueues),
                        what / 8 % 10);
  }
  void write_memory() {
    const std::uint64_t at = input_.take<std::uint16_t>() * 2u;
    host_.write_memory(at, input_.bytes(input_.byte()));
  }
  // Inside of the region, as the session promises.
  void access() {
    const std::uint8_t what = input_.byte();
    const bool is_config = (what & 1) != 0;
    const std::uint64_t size = is_config ? 256 : Controller::kBarBytes;
    const std::uint64_t offset = input_.take<std::uint16_t>() % size;
    const std::size_t length = std::min<std::uint64_t>(what / 4, size - offset);
    const std::uint32_t region = is_config ? vfio::kConfigRegion : 0;
    if ((what & 2) == 0) {
      std::vector<std::byte> bytes(length, std::byte{0xcc});
      require(host_.controller().read(region, offset, bytes).has_value());
    } else {
      (void)host_.controller().write(region, offset, input_.bytes(length));
    }
  }
  void change_memory() {
    const std::uint8_t which = input_.byte();
    host_.give_memory(which % 3, (which & 4) == 0);
  }
  // The controller's own state, with changes.
  void load_state() {
    ControllerState state = host_.controller().get_state();
    const auto bytes = std::as_writable_bytes(std::span(&state, 1));
    const std::uint8_t changes = input_.byte();
    for (int i = 0; i < changes % 16; ++i) {
      const std::size_t at = input_.take<std::uint16_t>() % bytes.size();
      bytes[at] = static_cast<std::byte>(input_.byte());
    }
    const bool is_whole = (changes & 0x80) == 0;
    const std::size_t size = is_whole ? bytes.size() : input_.take<std::uint16_t>() % bytes.size();
    if (host_.load(bytes.first(size))) host_.go(State::kRunning);
  }
  void other(std::uint8_t what) {
    switch (what % 5) {
      case 0:
        require(host_.controller().reset().has_value());
        host_.controller().migration()->back_to_running();
        return;
      case 1:
        return host_.listen(static_cast<std::uint32_t>(what / 5 % 10));
      case 2:
        return host_.mask_pin((what & 0x80) != 0);
      case 3:
        return host_.go(static_cast<State>(what / 5 % 8u));
      default:
        return host_.check();
    }
  }

  Input& input_;
  Host host_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return leaving_no_fds(data, size, [](Input& input) { Player(input).play(); });
}
