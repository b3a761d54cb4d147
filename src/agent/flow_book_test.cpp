// What is kept of flows: news once, within bounds, and the rest counted.
#include "agent/flow_book.h"

#include <gtest/gtest.h>

namespace merlon::agent {
namespace {

using machine::FlowReport;
using machine::FlowState;

FlowKey key(uint32_t number) {
  return {.protocol = 6,
          .source = IpAddress::from_v4(0x0a000000 + number),
          .destination = *IpAddress::parse("10.1.0.4"),
          .source_port = 50'000,
          .destination_port = 22};
}

const FlowBook::Rule kRule{
    .nic = "nic", .group = "group", .name = "ssh", .is_default = false, .is_opening = false};
constexpr Duration kNow{1'000'000};

EndedConnection ended(const FlowKey& original) {
  EndedConnection connection;
  connection.original = original;
  connection.reply = {.protocol = original.protocol,
                      .source = original.destination,
                      .destination = original.source,
                      .source_port = original.destination_port,
                      .destination_port = original.source_port};
  connection.packets_sent = 3;
  return connection;
}

TEST(FlowBook, AFlowIsNewsOnceAndEndsOnce) {
  FlowBook book;
  EXPECT_FALSE(book.has_news());
  for (int i = 0; i < 3; ++i) book.decided(key(1), kRule, true, false, kNow);
  const FlowReport first = book.take(kNow + Duration(250));
  ASSERT_EQ(first.flows.size(), 1U);
  EXPECT_EQ(first.flows[0].before, Duration(250));
  book.decided(key(1), kRule, true, false, kNow);
  EXPECT_FALSE(book.has_news()) << "it goes on";
  book.ended(ended(key(1)), kNow);
  book.ended(ended(key(1)), kNow);
  book.ended(ended(key(2)), kNow);
  const FlowReport last = book.take(kNow);
  ASSERT_EQ(last.flows.size(), 1U);
  EXPECT_EQ(last.flows[0].state, FlowState::end);
  EXPECT_EQ(last.flows[0].packets_sent, 3);
}

TEST(FlowBook, ATranslatedOutboundFlowIsKnownByItsReplies) {
  FlowBook book;
  const FlowKey leaving = key(9);
  book.decided(leaving, kRule, false, false, kNow);
  EndedConnection connection = ended(leaving);
  connection.original.source = *IpAddress::parse("172.17.0.2");  // before the source was translated
  book.take(kNow);
  book.ended(connection, kNow);
  EXPECT_EQ(book.take(kNow).flows.size(), 1U);
}

TEST(FlowBook, ADeniedFlowIsNewsOnceInEachReport) {
  FlowBook book;
  for (int i = 0; i < 5; ++i) book.decided(key(1), kRule, true, true, kNow);
  EXPECT_EQ(book.take(kNow).flows.size(), 1U);
  book.decided(key(1), kRule, true, true, kNow);
  EXPECT_EQ(book.take(kNow).flows.size(), 1U);
}

TEST(FlowBook, NothingGrowsWithoutEnd) {
  FlowBook book;
  for (uint32_t i = 0; i < 20'000; ++i) book.decided(key(i), kRule, true, i % 2 == 0, kNow);
  const FlowReport report = book.take(kNow);
  EXPECT_EQ(report.flows.size(), machine::kReportedFlowsMax);
  EXPECT_EQ(report.lost, 19'000);
  for (uint32_t i = 0; i < 20'000; ++i) book.ended(ended(key(i)), kNow);
  const FlowReport ends = book.take(kNow);
  EXPECT_EQ(static_cast<int64_t>(ends.flows.size()) + ends.lost, 8192) << "the oldest were forgotten";
  FlowBook::Rule rule = kRule;
  for (uint32_t i = 0; i < 600; ++i) {
    rule.name = std::to_string(i);
    book.decided(key(i), rule, true, true, kNow);
  }
  const FlowReport rules = book.take(kNow);
  EXPECT_EQ(rules.rules.size(), machine::kReportedFlowRulesMax);
  EXPECT_EQ(rules.lost, 600 - static_cast<int64_t>(machine::kReportedFlowRulesMax));
  const auto read = FlowReport::from_json(report.to_json());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(to_text(read->to_json()), to_text(report.to_json()));
}

}  // namespace
}  // namespace merlon::agent
