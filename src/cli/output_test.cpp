// Tables, and text that comes from others.
#include "cli/output.h"

#include <gtest/gtest.h>

#include "cli/test_world.h"

namespace merlon::cli {
namespace {

TEST(Table, AlignsColumnsByCharactersAndMarksEmptyCells) {
  Table table({"NAME", "WHERE"});
  table.add({"\u00e9-1", "web"});
  table.add({"longer-name", ""});
  EXPECT_EQ(table.text(),
            "NAME         WHERE\n"
            "\u00e9-1          web\n"
            "longer-name  -\n");
}

TEST(Table, ACellCannotMakeALineOrMoveTheCursor) {
  Table table({"NAME"});
  table.add({"web\nroot  Owner\x1b[2J\r"});
  EXPECT_EQ(table.text(), "NAME\nweb?root  Owner?[2J?\n");
}

TEST(Printable, KeepsWordsAndTakesControlsAway) {
  EXPECT_EQ(printable("Zo\u00eb \u2014 \u6771\u4eac \u2713"), "Zo\u00eb \u2014 \u6771\u4eac \u2713");
  EXPECT_EQ(printable(std::string("a\0b", 3)), "a?b");
  EXPECT_EQ(printable("a\177b"), "a?b");
  EXPECT_EQ(printable("\302\23331m"), "?31m");                        // U+009B: CSI as one C1 control
  EXPECT_EQ(printable("admin\342\200\256txt.exe"), "admin?txt.exe");  // U+202E: right-to-left override
  EXPECT_EQ(printable("a\342\200\213b"), "a?b");                      // U+200B: zero width
  EXPECT_EQ(printable("a\342\201\246b"), "a?b");                      // U+2066: isolate
  EXPECT_EQ(printable("a\357\273\277b"), "a?b");                      // U+FEFF
  EXPECT_EQ(printable("bad \377 utf-8"), "bad ? utf-8");
  EXPECT_EQ(printable("\342\200"), "??");  // cut in the middle
}

TEST(Facts, AlignsAndLeavesOutWhatIsEmpty) {
  EXPECT_EQ(facts_text({{"Name", "web-1"}, {"Error", ""}, {"Status", "Connected"}}),
            "Name:   web-1\nStatus: Connected\n");
}

TEST(Show, JsonIsTheAnswerAndTableIsTheText) {
  test::World world;
  show(world.context, {{"a", 1}}, "text\n");
  EXPECT_EQ(world.out.str(), "text\n");
  world.out.str({});
  world.context.output = OutputForm::json;
  show(world.context, {{"a", 1}}, "text\n");
  const auto json = parse_json_object(world.out.str());
  ASSERT_TRUE(json.has_value());
  EXPECT_EQ(int_at(*json, "a"), 1);
}

TEST(Ids, PartsAreFoundInAnyCase) {
  EXPECT_EQ(group_in("/subscriptions/s/resourcegroups/Web/providers/x"), "Web");
  EXPECT_EQ(group_in("/subscriptions/s"), "");
  EXPECT_EQ(group_in("/subscriptions/s/resourceGroups"), "");
  EXPECT_EQ(last_segment("/a/b"), "b");
  EXPECT_EQ(last_segment("b"), "b");
}

TEST(TextAt, AnyTypeReadsAsText) {
  const JsonObject json = {{"n", 5}, {"s", "x"}, {"z", nullptr}, {"l", JsonArray{"a", 2}}};
  EXPECT_EQ(text_at(json, "n"), "5");
  EXPECT_EQ(text_at(json, "s"), "x");
  EXPECT_EQ(text_at(json, "z"), "");
  EXPECT_EQ(text_at(json, "none"), "");
  EXPECT_EQ(joined_at(json, "l"), "a, 2");
}

}  // namespace
}  // namespace merlon::cli
