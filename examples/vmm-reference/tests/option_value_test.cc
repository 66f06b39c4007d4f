// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "option_value.h"

#include <catch2/catch.hpp>

namespace vmm::reference {
namespace {

constexpr std::uint64_t kMax = ~std::uint64_t{0};

Outcome<OptionValue> parse_x(std::string_view text) {
  constexpr OptionKey kKeys[] = {{"a"},
                                 {"b"},
                                 {.name = "e", .is_word = true},
                                 {"f"},
                                 {.name = "late", .offered = false, .taken = ""},
                                 {.name = "never", .offered = false, .taken = "off"}};
  return OptionValue::parse("--x", text, kKeys);
}

TEST_CASE("sizes are numbers with an optional K, M or G", "[option_value]") {
  struct Case {
    const char* text;
    std::optional<std::uint64_t> bytes;
  };
  const auto c = GENERATE(values<Case>({
      {"0", 0},
      {"4096", 4096},
      {"3K", 3072},
      {"512M", 512u << 20},
      {"2G", 2ull << 30},
      {"18446744073709551615", kMax},
      {"18446744073709551616", std::nullopt},
      {"17179869184G", std::nullopt},
      {"", std::nullopt},
      {"K", std::nullopt},
      {"1k", std::nullopt},
      {"1T", std::nullopt},
      {"-1", std::nullopt},
      {"+1", std::nullopt},
      {" 1", std::nullopt},
      {"0x10", std::nullopt},
      {"1MM", std::nullopt},
  }));
  CAPTURE(c.text);
  CHECK(parse_bytes(c.text) == c.bytes);
}

TEST_CASE("integer lists take numbers and rising ranges, up to a limit", "[option_value]") {
  using List = std::vector<std::uint64_t>;
  CHECK(parse_integer_list("[1,3-5]", 16) == List{1, 3, 4, 5});
  CHECK(parse_integer_list("7", 16) == List{7});
  CHECK(parse_integer_list("0-15", 16)->size() == 16);
  for (const char* bad :
       {"", "[1", "1]", "5-3", "3-3", "1,,2", "a", "1-", "-1", "0-16", "0-18446744073709551615"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_integer_list(bad, 16).has_value());
  }
}

TEST_CASE("a comma inside brackets or quotes does not split", "[option_value]") {
  const auto value = parse_x(R"(a=[1,2],b="c,""d""",e,f=)");
  REQUIRE(value.has_value());
  CHECK(value->text("a") == "[1,2]");
  CHECK(value->text("b") == R"(c,"d")");
  CHECK(value->has("e"));
  CHECK_FALSE(value->text("e").has_value());
  CHECK_FALSE(value->text("f").has_value());
  CHECK_FALSE(value->has("g"));
}

TEST_CASE("a key given twice keeps its last text", "[option_value]") {
  const auto value = parse_x("a=1,a=2");
  REQUIRE(value.has_value());
  CHECK(*value->integer("a", 0, 0, 9) == 2);
}

TEST_CASE("white space around a value and around its texts is not part of them", "[option_value]") {
  for (const char* text : {"", " ", " \t\n"}) {
    CAPTURE(text);
    const auto value = parse_x(text);
    REQUIRE(value.has_value());
    CHECK_FALSE(value->has("a"));
  }
  const auto value = parse_x(" a= 1 ,b=\" c \" ,e,f=  ");
  REQUIRE(value.has_value());
  CHECK(*value->integer("a", 0, 0, 9) == 1);
  CHECK(value->text("b") == " c ");
  CHECK_FALSE(value->text("f").has_value());
}

TEST_CASE("an error names the option and the key", "[option_value][hostile]") {
  struct Case {
    const char* text;
    const char* message;
  };
  const auto c = GENERATE(values<Case>({
      {"x=1", "--x: x: unknown key (known: a, b, e, f)"},
      {"late=1", "--x: late: not offered yet"},
      {"a=[1", "--x: unbalanced brackets or quotes"},
      {"a=]", "--x: unbalanced brackets or quotes"},
      {"a=\"", "--x: unbalanced brackets or quotes"},
      {",", "--x: : unknown key (known: a, b, e, f)"},
      {"late", "--x: late: not offered yet"},
      {"a=1, b=2", "--x:  b: unknown key (known: a, b, e, f)"},
      {"never=on", "--x: never: not offered yet"},
      {"never", "--x: never: not offered yet"},
      {"a", "--x: a: \"=\" and a text are missing"},
      {"e,a,b=1", "--x: a: \"=\" and a text are missing"},
  }));
  CAPTURE(c.text);
  const auto value = parse_x(c.text);
  REQUIRE_FALSE(value.has_value());
  CHECK(value.error().message == c.message);
  CHECK(value.error().exit_code() == 2);
}

TEST_CASE("a key that is not offered may say what is so anyway", "[option_value]") {
  for (const char* text : {"never=off", "never=FALSE", "never="}) {
    CAPTURE(text);
    CHECK(parse_x(text).has_value());
  }
}

TEST_CASE("toggles know on, off, true and false in any case", "[option_value]") {
  for (const auto& [text, expected] :
       {std::pair("a=on", true), std::pair("a=TRUE", true), std::pair("a=Off", false),
        std::pair("a=false", false), std::pair("a=", true)}) {
    CAPTURE(text);
    CHECK(*parse_x(text)->toggle("a", true) == expected);
  }
  const auto bad = parse_x("a=1")->toggle("a", true);
  REQUIRE_FALSE(bad.has_value());
  CHECK(bad.error().message == "--x: a: \"1\" is neither on nor off");
}

}  // namespace
}  // namespace vmm::reference
