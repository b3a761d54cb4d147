// Who is let in by which certificate or key, and until when.
#include "services/ssh/identities_fixture.h"

namespace merlon::ssh_identity {
namespace {

TEST_F(IdentitiesTest, ACertificateStandsForWhoAskedForIt) {
  const Bytes blob = certificate(ada_);
  const auto found = who(blob);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->object_id, ada_.id);
  EXPECT_EQ(found->name, ada_.name);
  EXPECT_THAT(found->amr, testing::Contains("mfa"));
  EXPECT_EQ(found->address.text(), "192.0.2.7");
  const auto entries = world_.entries("Merlon.Bastion/sshCertificates/issue");
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0].actor.object_id, ada_.id.text());
}

TEST_F(IdentitiesTest, ItEndsWithItsTimeItsSourceItsOwnerAndItsSignIn) {
  const Bytes here = certificate(ada_, {{"sourceAddresses", JsonArray{"192.0.2.0/24"}}});
  EXPECT_TRUE(who(here));
  EXPECT_FALSE(who(here, "192.0.3.7"));
  const Bytes brief = certificate(ada_, {{"lifetime", "PT10M"}});
  clock_.advance(std::chrono::minutes(11));
  EXPECT_FALSE(who(brief));
  const Bytes revoked = certificate(ada_);
  must(world_.store().write([&](store::Transaction& tx) {
    return identity::revoke_sessions(tx, grant::Foundation::tenant(), ada_.id, world_.random);
  }));
  EXPECT_FALSE(who(revoked));
  const Bytes disabled = certificate(bob_);
  EXPECT_TRUE(who(disabled));
  must(world_.store().write(
      [&](store::Transaction& tx) { return directory().set_enabled(tx, bob_.id, false); }));
  EXPECT_FALSE(who(disabled));
}

TEST_F(IdentitiesTest, WhoHasNoRoleGetsNone) {
  EXPECT_EQ(send(eve_, "POST", "issueSshCertificate", {{"publicKey", new_key()}}).status, 403);
  EXPECT_EQ(
      send(ada_, "PUT", "sshKeys/laptop", {{"properties", JsonObject{{"publicKey", new_key()}}}}).status,
      403);
  for (const char* lifetime : {"PT25H", "PT10S", "tomorrow"})
    EXPECT_EQ(
        send(ada_, "POST", "issueSshCertificate", {{"publicKey", new_key()}, {"lifetime", lifetime}}).code(),
        "InvalidLifetime");
  EXPECT_EQ(send(ada_, "POST", "issueSshCertificate", {{"publicKey", "ssh-dss AAAA"}}).code(),
            "InvalidSshPublicKey");
}

TEST_F(IdentitiesTest, AMachinesCertificateIsNobodysSignIn) {
  const auto made = must(ssh_->machine_credential(must(who(certificate(ada_))), "admin", "m-1", "s-1"));
  const auto read = must(ssh::Certificate::from_line(made.certificate));
  EXPECT_EQ(read.principals, std::vector<std::string>{"admin@m-1"});
  const size_t space = made.certificate.find(' ');
  const Bytes blob =
      *from_base64(made.certificate.substr(space + 1, made.certificate.find(' ', space + 1) - space - 1));
  EXPECT_FALSE(who(blob));
}

TEST_F(IdentitiesTest, ARegisteredKeyIsOnePersons) {
  const std::string line = new_key();
  const JsonObject body{{"properties", JsonObject{{"publicKey", line}}}};
  const Bytes blob = must(ssh::PublicKey::from_line(line)).blob();
  EXPECT_FALSE(who(blob));
  EXPECT_EQ(send(bob_, "PUT", "sshKeys/laptop", body).status, 201);
  const auto found = who(blob);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->object_id, bob_.id);
  const Person carl = person("carl", kOwnerRole);
  EXPECT_EQ(send(carl, "PUT", "sshKeys/mine", body).code(), "SshKeyInUse");
  EXPECT_EQ(send(carl, "DELETE", "sshKeys/laptop").status, 204) << "another's is out of reach";
  EXPECT_TRUE(who(blob));
  EXPECT_EQ(send(bob_, "DELETE", "sshKeys/laptop").status, 200);
  EXPECT_FALSE(who(blob));
}

}  // namespace
}  // namespace merlon::ssh_identity
