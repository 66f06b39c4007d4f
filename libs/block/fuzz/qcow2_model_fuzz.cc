// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A guest of qcow2 images that are good: what it reads is what it wrote (stamped_disk.h), with
// requests that are under way together, other sizes, power cuts. What is in the file is what a
// reader of its own finds there (qcow2_reader.h): each cluster is counted, what was flushed is
// there after a power cut, and a snapshot holds what it held.
//
// Input: the shapes of an image and of one below it (qcow2_maker.h), then steps.

#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "fuzz_input.h"
#include "power_file.h"
#include "qcow2_maker.h"
#include "qcow2_reader.h"
#include "slow_requests.h"
#include "src/qcow2_image.h"
#include "stamped_disk.h"
#include "vmm/block/disk_queue.h"
#include "vmm/block/open_image.h"

namespace {

using namespace vmm;
using namespace vmm::block;
using Kind = DiskRequest::Kind;

constexpr std::uint64_t kMostAtFirst = 150;  // sectors

ImageShape take_shape(Input& script, std::uint32_t layer) {
  static constexpr std::uint32_t kClusterBits[] = {9, 10, 12, 9};
  ImageShape shape{.layer = layer};
  const std::uint8_t bits = script.byte();
  shape.cluster_bits = kClusterBits[bits & 3];
  shape.version = (bits & 4) != 0 ? 2 : 3;
  shape.zstd = shape.version == 3 && (bits & 8) != 0;
  const std::uint32_t order = script.byte() % 7u;
  shape.refcount_order = shape.version == 3 ? order : 4;
  shape.snapshot = (bits & 16) != 0 && shape.refcount_order != 0;
  shape.sectors = 1 + script.take<std::uint16_t>() % kMostAtFirst;
  for (std::uint8_t& place : shape.places) place = script.byte();
  return shape;
}

UniqueFd file_of(const std::vector<std::byte>& content) {
  UniqueFd fd(::memfd_create("below", MFD_CLOEXEC));
  require(sys_util::pwrite_all(fd.get(), content, 0).has_value());
  return fd;
}

/// The image below, of which nothing changes.
class Below {
 public:
  explicit Below(Input& script) : kind_(script.byte() % 3) {
    if (kind_ == 0) return;
    const ImageShape shape = take_shape(script, 2);
    Qcow2Maker maker(shape);
    content_ = maker.make();
    for (const auto& stamp : maker.stamps()) stamps_.push_back(stamp.value_or(0));
    if (kind_ == 2) return;
    content_.assign(stamps_.size() * kSectorBytes, std::byte{0});
    for (std::size_t i = 0; i < stamps_.size(); ++i) {
      fill_sector(stamps_[i], &content_[i * kSectorBytes]);
    }
  }
  [[nodiscard]] Stamp stamp(std::uint64_t sector) const {
    return sector < stamps_.size() ? stamps_[sector] : 0;
  }
  [[nodiscard]] std::unique_ptr<Image> open() const {
    if (kind_ == 0) return nullptr;
    auto file = ImageFile::adopt(file_of(content_), {.writable = false});
    require(file.has_value());
    auto image = kind_ == 1 ? open_raw(*std::move(file), {}) : open_qcow2(*std::move(file), {});
    require(image.has_value());
    return *std::move(image);
  }

 private:
  const int kind_;
  std::vector<std::byte> content_;
  std::vector<Stamp> stamps_;
};

class Run {
 public:
  explicit Run(Input& script) : script_(script), shape_(take_shape(script, 1)), below_(script) {
    Qcow2Maker maker(shape_);
    file_ = std::make_unique<PowerFile>(maker.make());
    std::vector<Stamp> content(shape_.sectors);
    for (std::uint64_t i = 0; i < content.size(); ++i) {
      first_.push_back(maker.stamps()[i]);
      content[i] = first_[i].value_or(below_.stamp(i));
    }
    disk_.emplace(content);
    check_file(true);
    open();
  }

  void play() {
    for (int step = 0; step < 96 && !script_.empty(); ++step) act(script_.byte());
    look();
    close();
  }

 private:
  void act(std::uint8_t kind) {
    switch (kind % 16) {
      case 4:
        return requests_->reap();
      case 5:
        return slow_->begin_write(take_range());
      case 6:
        return slow_->move(script_.byte());
      case 7:
        return slow_->end_write(script_.byte());
      case 8:
        return slow_->begin_read(take_range());
      case 9:
        return slow_->end_read(script_.byte());
      case 10:
        return requests_->flush();
      case 11:
        return resize();
      case 12:
        close();
        return open();
      case 13:
        return power_cut();
      case 14:
        return look();
      default:
        return submit();
    }
  }
  void submit() {
    const std::uint8_t how = script_.byte();
    requests_->submit(how, take_range());
  }

  Sectors take_range() {
    const std::uint64_t first = script_.take<std::uint16_t>() % disk_->size();
    const std::uint64_t count = 1 + script_.byte() % 96u;
    return {.first = first, .count = std::min(count, disk_->size() - first)};
  }

  void open() {
    const std::uint8_t bits = script_.byte();
    auto file = ImageFile::adopt(file_->descriptor(), {.writable = true});
    require(file.has_value());
    const auto header = qcow2::read_header(*file);
    require(header.has_value());
    auto image = qcow2::Qcow2Image::open(*std::move(file), *header, below_.open(),
                                         {.sparse = (bits & 1) == 0, .cache_bytes = 0});
    require(image.has_value());
    image_ = *std::move(image);
    require(image_->size_bytes() == disk_->size() * kSectorBytes);
    requests_.emplace(image_, *disk_, writes_);
    slow_.emplace(*image_, *disk_, writes_);
  }
  void close() {
    slow_->end_all();
    requests_->reap();
    slow_.reset();
    requests_.reset();
    image_.reset();
    check_file(!leaks_);
  }
  /// At once, or in one of the next syncs of a flush, of which nobody hears.
  void power_cut() {
    const std::uint8_t when = script_.byte();
    if (when % 4 != 0) {
      requests_->reap();
      file_->cut_at(when % 4u);
      requests_->flush_in_vain();
    }
    std::vector<std::byte> left = file_->cut(script_);
    slow_->abandon();
    slow_.reset();
    requests_.reset();
    image_.reset();
    file_.reset();
    file_ = std::make_unique<PowerFile>(std::move(left));
    disk_->power_cut();
    check_file(false);
    // Of version 2, nobody knows that the image was not closed.
    if (shape_.version == 2) leaks_ = true;
    open();
  }
  void resize() {
    const std::uint64_t sectors = 1 + script_.take<std::uint16_t>() % kMostSectors;
    const auto done = image_->resize(sectors * kSectorBytes);
    if (shape_.version == 2 && shape_.snapshot && sectors != disk_->size()) {
      return require(!done && done.error().is_os(ENOTSUP));
    }
    require(done.has_value());
    if (sectors != disk_->size()) disk_->resized(sectors);
  }
  void look() {
    for (std::uint64_t at = 0; at < disk_->size(); at += 64) {
      requests_->reap();
      requests_->submit(0, {.first = at, .count = std::min<std::uint64_t>(64, disk_->size() - at)});
    }
    requests_->reap();
  }

  /// What is in the file, to somebody else.
  void check_file(bool exact) {
    Qcow2Reader reader(file_->content());
    require(!reader.is_corrupt() && reader.sectors() == disk_->size());
    reader.check_counts(exact);
    for (std::uint64_t i = 0; i < disk_->size(); ++i) {
      disk_->has(i, reader.stamp(Qcow2Reader::Table::kDisk, i).value_or(below_.stamp(i)));
    }
    require(reader.has_snapshot() == shape_.snapshot);
    for (std::uint64_t i = 0; shape_.snapshot && i < first_.size(); ++i) {
      require(reader.stamp(Qcow2Reader::Table::kSnapshot, i) == first_[i]);
    }
  }

  Input& script_;
  const ImageShape shape_;
  const Below below_;
  std::vector<std::optional<Stamp>> first_;  // what the image alone has at first
  std::unique_ptr<PowerFile> file_;
  std::optional<StampedDisk> disk_;
  std::uint32_t writes_ = 2;  // two layers have theirs
  bool leaks_ = false;        // clusters are counted that nobody uses
  std::shared_ptr<Image> image_;
  std::optional<Requests> requests_;
  std::optional<SlowRequests> slow_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input script(data, size);
  Run(script).play();
  return 0;
}
