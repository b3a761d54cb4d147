// UUID text and version 4.
#include "base/uuid.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace merlon {
namespace {

class FilledRandom final : public Random {
 public:
  explicit FilledRandom(uint8_t value) : value_(value) {}
  void fill(std::span<uint8_t> out) override {
    for (uint8_t& byte : out) byte = value_;
  }

 private:
  uint8_t value_;
};

TEST(Uuid, ReadsEitherCaseAndWritesLower) {
  const auto uuid = Uuid::parse("4D97B98B-1D4F-4787-A291-C67834D212E7");
  ASSERT_TRUE(uuid);
  EXPECT_EQ(uuid->text(), "4d97b98b-1d4f-4787-a291-c67834d212e7");
  EXPECT_EQ(uuid, Uuid::parse(uuid->text()));
  EXPECT_FALSE(uuid->is_nil());
  EXPECT_TRUE(Uuid().is_nil());
  EXPECT_TRUE(Uuid::parse("00000000-0000-0000-0000-000000000000")->is_nil());
}

TEST(Uuid, RefusesOtherForms) {
  for (const std::string_view text :
       {"", "4d97b98b1d4f4787a291c67834d212e7", "{4d97b98b-1d4f-4787-a291-c67834d212e7}",
        "4d97b98b-1d4f-4787-a291-c67834d212e", "4d97b98b-1d4f-4787-a291-c67834d212e77",
        "4d97b98b-1d4f-4787-a291-c67834d212eg", "4d97b98b-1d4f-4787-a291_c67834d212e7",
        "4d97b98-b1d4f-4787-a291-c67834d212e7", " d97b98b-1d4f-4787-a291-c67834d212e7",
        "urn:uuid:4d97b98b-1d4f-4787-a291-c67"})
    EXPECT_FALSE(Uuid::parse(text)) << text;
  std::string with_zero = "4d97b98b-1d4f-4787-a291-c67834d212e7";
  with_zero[35] = '\0';
  EXPECT_FALSE(Uuid::parse(with_zero));
}

TEST(Uuid, GeneratesVersion4OfVariant1) {
  FilledRandom zeros(0);
  FilledRandom ones(0xff);
  EXPECT_EQ(Uuid::generate(zeros).text(), "00000000-0000-4000-8000-000000000000");
  EXPECT_EQ(Uuid::generate(ones).text(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
  EXPECT_EQ(Uuid::parse(Uuid::generate(ones).text()), Uuid::generate(ones));
}

}  // namespace
}  // namespace merlon
