// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// For tests: lets Intel's ACPI compiler judge a table.

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>

namespace vmm::acpi_tables::testing {

/// What iasl said.
struct IaslVerdict {
  bool found = false;       ///< iasl is on the PATH; else nothing below counts
  std::string complaints;   ///< lines with errors or warnings; empty: none
  std::string source;       ///< the disassembly
  bool same_bytes = false;  ///< compiling the disassembly gives the table back
};

namespace detail {

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline std::string complaints_in(const std::string& text) {
  std::string found;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    const bool bad = line.find("Error  ") != line.npos || line.find("Warning  ") != line.npos ||
                     line.find("ACPI Error") != line.npos ||
                     line.find("ACPI Warning") != line.npos ||
                     line.find("Could not") != line.npos || line.find("Invalid") != line.npos ||
                     line.find("*** ") != line.npos;
    if (bad) found += line + "\n";
    at = end + 1;
  }
  return found;
}

}  // namespace detail

/// Disassembles one table and compiles the result again.
inline IaslVerdict judge(std::span<const std::byte> table) {
  namespace fs = std::filesystem;
  IaslVerdict verdict;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): tests have one thread
  verdict.found = std::system("command -v iasl >/dev/null 2>&1") == 0;
  if (!verdict.found) return verdict;
  std::string name = (fs::temp_directory_path() / "vmm-iasl-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) return verdict;
  const fs::path dir = name;
  {
    std::ofstream out(dir / "table.aml", std::ios::binary);
    out.write(reinterpret_cast<const char*>(table.data()),
              static_cast<std::streamsize>(table.size()));
  }
  // -oa: no optimization, so that the bytes can be compared.
  const std::string command = "cd " + name +
                              " && iasl -d table.aml >log 2>&1; iasl -oa -p again table.dsl >>log "
                              "2>&1";
  if (std::system(command.c_str()) != 0) {  // NOLINT(concurrency-mt-unsafe)
    verdict.complaints = detail::read_file(dir / "log");
  } else {
    verdict.complaints = detail::complaints_in(detail::read_file(dir / "log"));
  }
  verdict.source = detail::read_file(dir / "table.dsl");
  std::string again = detail::read_file(dir / "again.aml");
  std::string wanted(reinterpret_cast<const char*>(table.data()), table.size());
  // iasl puts its own name, and so another checksum, into what it compiles.
  for (std::string* bytes : {&again, &wanted}) {
    if (bytes->size() < 36) continue;
    (*bytes)[9] = 0;
    bytes->replace(28, 8, 8, '\0');
  }
  verdict.same_bytes = again == wanted;
  fs::remove_all(dir);
  return verdict;
}

}  // namespace vmm::acpi_tables::testing
