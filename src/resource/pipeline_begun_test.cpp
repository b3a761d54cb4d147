// Writes that no thread waits with: the same answers, the same ledger, and a right that counts when the
// change is made. (Each test of this room asks this way first: resource_fixture.h.)
#include "resource/resource_fixture.h"
#include "store/later_writes.h"

namespace merlon::resource {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class BegunTest : public ResourceFixture {
 protected:
  BegunTest() { make_group(); }

  std::shared_ptr<const net::Request> put_of_box(const Person& person, const std::string& name,
                                                 const std::string& color = "red") {
    return std::make_shared<const net::Request>(
        made("PUT", kBoxes + "/" + name + "?api-version=2024-01-01",
             R"({"location":"local","properties":{"color":")" + color + R"("}})",
             {{"Authorization", "Bearer " + person.token}, {"Content-Type", "application/json"}}));
  }
  // Rights are known from the first question on.
  void know_rights(const Person& person) { send_as(person.token, "GET", kBoxes); }

  // The writer's thread is kept from taking anything else until `until` is over.
  class BusyWriter {
   public:
    BusyWriter(store::Store& store, std::function<Result<void>(store::Transaction&)> work) {
      dynamic_cast<store::LaterWrites&>(store).write_later(
          [this, work = std::move(work)](store::Transaction& tx) -> Result<void> {
            began_.set_value();
            go_on_.get_future().wait();
            return work(tx);
          },
          [this](const Result<void>& written) { ended_.set_value(written.has_value()); });
      began_.get_future().wait();
    }
    bool end() {
      go_on_.set_value();
      return ended_.get_future().get();
    }

   private:
    std::promise<void> began_, go_on_;
    std::promise<bool> ended_;
  };
};

TEST_F(BegunTest, AWriteIsBegunAndAnswersLikeAnyOther) {
  know_rights(owner_);
  const int before = begun_;
  const Answer created = make_box("a");
  EXPECT_EQ(created.status, 201);
  EXPECT_EQ(created.at("properties.serial"), "made by the hook");
  EXPECT_THAT(created.headers.value_or("x-ms-request-id", ""), SizeIs(36));
  EXPECT_EQ(send("DELETE", kBoxes + "/a").status, 200);
  EXPECT_EQ(begun_, before + 2);
  const auto entered = entries("Toy.Things/boxes");
  ASSERT_THAT(entered, SizeIs(2));
  EXPECT_EQ(entered.front().decision, ledger::Decision::allowed);
  EXPECT_EQ(entered.front().actor.name, owner_.name);
}

TEST_F(BegunTest, WhatIsNotAsUsualIsLeftToAWorkerAsIfNothingHadBeen) {
  const Person stranger = make_person("stranger");
  know_rights(owner_);
  const size_t before = entries().size();
  EXPECT_EQ(begin(put_of_box(stranger, "a")), nullptr) << "no right";
  EXPECT_EQ(begin(put_of_box({}, "a")), nullptr) << "no token";
  EXPECT_EQ(begin(put_of_box(owner_, "a", "green")), nullptr) << "no such colour";
  EXPECT_EQ(begin(put_of_box(owner_, "a", std::string(64 * 1024, 'x'))), nullptr) << "much to read";
  EXPECT_THAT(entries(), SizeIs(before));
  EXPECT_EQ(box_puts_, 0);
}

TEST_F(BegunTest, ARefusalOfTheTransactionIsEnteredBeforeItIsTold) {
  know_rights(owner_);
  const auto told = begin(put_of_box(owner_, "a", "black"));
  ASSERT_NE(told, nullptr);
  const net::Response refused = told->get_future().get();
  EXPECT_EQ(refused.status, 409);
  EXPECT_THAT(refused.body, HasSubstr("NoBlackBoxes"));
  const auto entered = entries("Toy.Things/");
  ASSERT_THAT(entered, SizeIs(1));
  EXPECT_EQ(entered.front().decision, ledger::Decision::failed);
  EXPECT_EQ(send("GET", kBoxes + "/a").status, 404);
}

// Invariant 3: what was true when the request was read is no longer when its turn comes.
TEST_F(BegunTest, ARightThatIsWithdrawnInTheMeantimeIsNone) {
  const Person ada = make_person("ada");
  const Uuid assignment = assign(ada, kOwner, kGroup);
  know_rights(ada);
  BusyWriter withdrawal(*store_, [&](store::Transaction& tx) -> Result<void> {
    TRY(access_->unassign(tx, kGroup, assignment));
    return {};
  });
  const auto told = begin(put_of_box(ada, "a"));
  ASSERT_NE(told, nullptr) << "it may, as far as is known";
  EXPECT_TRUE(withdrawal.end());
  const net::Response refused = told->get_future().get();
  EXPECT_EQ(refused.status, 403) << refused.body;
  EXPECT_EQ(box_puts_, 0);
  const auto entered = entries("Toy.Things/");
  ASSERT_THAT(entered, SizeIs(1));
  EXPECT_EQ(entered.front().decision, ledger::Decision::denied);
  EXPECT_EQ(entered.front().actor.name, ada.name);
}

TEST_F(BegunTest, ASessionThatEndsInTheMeantimeIsNone) {
  const Person ada = make_person("ada");
  assign(ada, kOwner, kGroup);
  know_rights(ada);
  BusyWriter end_of_session(
      *store_, [&](store::Transaction& tx) { return directory_->set_enabled(tx, ada.id, false); });
  const auto told = begin(put_of_box(ada, "a"));
  ASSERT_NE(told, nullptr);
  EXPECT_TRUE(end_of_session.end());
  EXPECT_EQ(told->get_future().get().status, 401);
  EXPECT_EQ(box_puts_, 0);
}

TEST_F(BegunTest, ItsManagerDoesNotGoBeforeItIsAnswered) {
  know_rights(owner_);
  BusyWriter busy(*store_, [](store::Transaction&) { return Result<void>(); });
  std::vector<Told> told;
  for (int i = 0; i < 20; ++i) told.push_back(begin(put_of_box(owner_, "box" + std::to_string(i))));
  std::thread end([&] { manager_.reset(); });
  EXPECT_TRUE(busy.end());
  end.join();
  for (const Told& one : told) {
    ASSERT_NE(one, nullptr);
    EXPECT_EQ(one->get_future().get().status, 201);
  }
}

}  // namespace
}  // namespace merlon::resource
