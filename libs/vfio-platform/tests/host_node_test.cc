// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_platform/host_node.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/rig.h"
#include "vmm/sys_util/temp_directory.h"

using namespace vmm;
using namespace vmm::vfio_platform;
using namespace vmm::vfio_platform::testing;
namespace fs = std::filesystem;

namespace {

struct Tree {
  Tree() { fs::create_directories(node()); }
  [[nodiscard]] fs::path node() const { return fs::path(folder.path()) / "soc" / "dma@a003e00"; }
  void put(const std::string& name, std::string_view value) const {
    std::ofstream(node() / name, std::ios::binary)
        .write(value.data(), static_cast<std::streamsize>(value.size()));
  }
  sys_util::TempDirectory folder = *sys_util::TempDirectory::create();
};

}  // namespace

TEST_CASE("files are properties, folders are children, links are followed to the node alone",
          "[host]") {
  const Tree tree;
  tree.put("compatible", literal("arm,pl330\0", 10));
  tree.put("dma-coherent", "");
  fs::create_directory(tree.node() / "port");
  fs::create_symlink("/etc/hostname", tree.node() / "elsewhere");
  ::mkfifo((tree.node() / "pipe").c_str(), 0600);
  const fs::path link = fs::path(tree.folder.path()) / "of_node";
  fs::create_symlink("soc/dma@a003e00", link);

  const auto node = read_host_node(link);
  REQUIRE(node);
  CHECK(node->name == "dma@a003e00");
  CHECK(node->properties ==
        std::vector<Property>{property("compatible", literal("arm,pl330\0", 10)),
                              property("dma-coherent", "")});
  CHECK(node->children == std::vector<std::string>{"port"});
}

TEST_CASE("what is not a node is an error", "[host]") {
  const Tree tree;
  CHECK(read_host_node(tree.node() / "of_node").error().is_os(ENOENT));
  tree.put("file", "x");
  CHECK(read_host_node(tree.node() / "file").error().is_os(ENOTDIR));
}

TEST_CASE("a node of many properties, and a long one, are refused", "[host][hostile]") {
  const Tree tree;
  tree.put("long", std::string(kMaxPropertyBytes, 'x'));
  REQUIRE(read_host_node(tree.node()));
  tree.put("long", std::string(kMaxPropertyBytes + 1, 'x'));
  CHECK(read_host_node(tree.node()).error().is_os(EFBIG));
  tree.put("long", "");
  for (std::size_t i = 1; i < kMaxProperties; ++i) tree.put("p" + std::to_string(i), "");
  CHECK(read_host_node(tree.node())->properties.size() == kMaxProperties);
  tree.put("one-more", "");
  CHECK(read_host_node(tree.node()).error().is_os(E2BIG));
}
