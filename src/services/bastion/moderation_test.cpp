// Sessions that need a second person: when they are held, let go on and ended, and who may moderate.
#include "services/bastion/bastion_fixture.h"

namespace merlon::bastion {
namespace {

class ModerationTest : public BastionFixture {
 protected:
  ModerationTest() {
    make_setting("Premium", {{"enableSessionRecording", true}});
    for (const Uuid& who : {owner_.id, ada_.id}) assign(who, kAdminLoginRole, kRg);
  }
  WayIn held_way() {
    WayIn asked = way(ada_);
    asked.can_hold = true;
    return asked;
  }
  Admission run() {
    Admission admission = must(bastion_->admit(held_way()));
    bastion_->watch(admission.session, [this](const Notice& notice) {
      heard_ += notice.reason + (notice.hold                        ? (*notice.hold ? "+hold;" : "+go;")
                                 : notice.kind == Notice::Kind::end ? "+end;"
                                                                    : ";");
    });
    return admission;
  }
  Answer act(const Person& who, const Admission& admission, const std::string& verb) {
    return send(who, "POST",
                kHostId + "/providers/Merlon.Bastion/sessions/" + admission.session.text() + "/" + verb);
  }
  std::string heard_;
};

TEST_F(ModerationTest, ASessionWaitsBeginsAndIsHeldAgain) {
  set_policy("four-eyes", {{"moderation", "pause"}});
  const Admission admission = run();
  EXPECT_NE(admission.held_because.find(admission.session.text()), std::string::npos);
  EXPECT_EQ(admission.recording, Recording::require);
  pass(std::chrono::seconds(5));
  EXPECT_EQ(heard_, "");
  EXPECT_EQ(act(owner_, admission, "join").status, 200);
  pass(std::chrono::seconds(3));
  EXPECT_EQ(heard_, "ModeratorJoined+go;");
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(act(owner_, admission, "join").status, 200);
    pass(std::chrono::seconds(5));
  }
  EXPECT_EQ(heard_, "ModeratorJoined+go;");
  pass(std::chrono::seconds(15));  // nothing more is heard of them
  EXPECT_EQ(heard_, "ModeratorJoined+go;ModeratorLeft+hold;");
  EXPECT_EQ(act(owner_, admission, "join").status, 200);
  pass(std::chrono::seconds(3));
  EXPECT_EQ(act(owner_, admission, "leave").status, 200);
  pass(std::chrono::seconds(3));
  EXPECT_EQ(heard_, "ModeratorJoined+go;ModeratorLeft+hold;ModeratorJoined+go;ModeratorLeft+hold;");
  pass(std::chrono::minutes(10));
  EXPECT_TRUE(heard_.ends_with("ModeratorMissing+end;")) << heard_;
  // Joined, joined again after they were lost, and left; not each time that they said so.
  EXPECT_EQ(world_.entries("Merlon.Bastion/sessions/moderate").size(), 3U);
}

TEST_F(ModerationTest, NobodyModeratesThemselvesAndNotEverybodyMay) {
  set_policy("four-eyes", {{"moderation", "pause"}});
  const Admission admission = run();
  EXPECT_EQ(act(ada_, admission, "join").status, 403);  // a reader
  assign(ada_.id, kOwnerRole, kRg);
  EXPECT_EQ(act(ada_, admission, "join").code(), "ModeratorIsSamePerson");
  pass(std::chrono::seconds(3));
  EXPECT_EQ(heard_, "");
  pass(std::chrono::minutes(10));
  EXPECT_EQ(heard_, "ModeratorMissing+end;");
}

TEST_F(ModerationTest, APolicyMayEndItWhenTheModeratorLeaves) {
  set_policy("a", {{"moderation", "pause"}});
  set_policy("b", {{"moderation", "end"}});
  const Admission admission = run();
  EXPECT_EQ(act(owner_, admission, "join").status, 200);
  pass(std::chrono::seconds(3));
  pass(std::chrono::seconds(16));
  EXPECT_EQ(heard_, "ModeratorJoined+go;ModeratorLeft+end;");
}

TEST_F(ModerationTest, WhatCannotWaitOrBeSeenIsRefused) {
  set_policy("four-eyes", {{"moderation", "pause"}});
  EXPECT_EQ(code(bastion_->admit(way(ada_))), "ModeratorRequired");
  call(owner_, "PUT", kHostId, host_body("Premium", "net", {{"enableTunneling", true}}), 200);
  EXPECT_EQ(code(bastion_->admit(held_way())), "ModerationNeedsRecording");
  set_policy("four-eyes", {}, 200);
  const Admission plain = must(bastion_->admit(held_way()));
  EXPECT_TRUE(plain.held_because.empty());
  EXPECT_EQ(act(owner_, plain, "join").code(), "SessionNotModerated");
}

}  // namespace
}  // namespace merlon::bastion
