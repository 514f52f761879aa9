//! Bags in sqlite3 storage, packed and not.

use rusqlite::Connection;

use recordings::sqlite::*;

use super::*;

#[test]
fn sqlite_bags_give_the_messages_and_frames_of_mcap_bags() {
    let messages = drive(300);
    let (_folder, mcap) = bag_of(&messages);
    let contract = Contract::new(&[]);
    let expected = contract.episodes(&*mcap).unwrap();
    assert!(expected.0[0].frames.len() > 100);
    for (with_definitions, packed_messages, packed_file) in
        [(true, false, false), (false, false, false), (true, true, false), (true, false, true), (true, true, true)]
    {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a bag?_0.db3");
        write_sqlite(&path, &messages, with_definitions, packed_messages);
        let path = if packed_file { pack(&path) } else { path };
        for place in [&path, folder.path()] {
            let bag = open_bag(place).unwrap();
            let (got, outcome) = read(&*bag);
            outcome.unwrap();
            same(&got, &messages);
            assert_eq!(bag.definitions().schema("nav_msgs/msg/Odometry").is_ok(), with_definitions);
            assert_eq!(contract.episodes(&*bag).unwrap(), expected);
            // Only what is asked for is given.
            let mut count = 0;
            bag.read(&[FORCE], &mut |message| count += usize::from(message.topic == FORCE)).unwrap();
            bag.read(&["/none"], &mut |_| count += 1000).unwrap();
            assert_eq!(count, 300);
        }
        // Nothing is written beside a bag that is read.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[test]
fn packed_mcap_files_are_read_and_their_cuts_reported() {
    let messages = drive(300);
    let (folder, _) = bag_of(&messages);
    pack(&folder.path().join("bag/bag_0.mcap"));
    // metadata.yaml still names the plain file: the directory is looked at without it.
    std::fs::remove_file(folder.path().join("bag/metadata.yaml")).unwrap();
    let bag = open_bag(&folder.path().join("bag")).unwrap();
    assert_eq!(bag.topics()[0].messages, Some(300));
    same(&read(&*bag).0, &messages);

    // zstd gives what it has unpacked block by block, 128 KiB each: a file of several.
    let messages = drive(3000);
    let options = mcap::WriteOptions::new().compression(None).chunk_size(Some(1 << 14));
    let path = pack(&bare(folder.path(), options, &messages));
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() * 2 / 3]).unwrap();
    let (got, outcome) = read(&*open_bag(&path).unwrap());
    assert!(matches!(outcome, Err(BagError::Unfinished { .. })), "{outcome:?}");
    assert!(got.len() > 1000 && got.len() < 6000, "{}", got.len());
    same(&got, &messages[..got.len()]);
}

#[test]
fn a_sqlite_bag_without_its_end_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bag_0.db3");
    write_sqlite(&path, &drive(1000), true, false);
    let whole = std::fs::read(&path).unwrap();
    for length in [whole.len() - 1, whole.len() / 2, 4096] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = open_bag(&path).err().unwrap().to_string();
        let expected = format!("byte {length}: damaged: expected {} bytes by its header", whole.len());
        assert!(error.contains(&expected) && error.contains(".recover"), "{error}");
    }
}

#[test]
fn the_log_of_a_killed_sqlite_recorder_is_read() {
    let messages = drive(50);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bag_0.db3");
    write_sqlite(&path, &messages, true, false);
    let writer = Connection::open(&path).unwrap();
    writer.pragma_update(None, "journal_mode", "WAL").unwrap();
    let (topic, log_ns, bytes) = drive(51).pop().unwrap();
    assert_eq!(topic, FORCE);
    writer.execute("INSERT INTO messages(topic_id, timestamp, data) VALUES (2, ?1, ?2)", (log_ns, bytes)).unwrap();
    let (got, outcome) = read(&*open_bag(&path).unwrap());
    outcome.unwrap();
    assert_eq!(got.len(), 101);
    // Split files of both storages are one recording.
    drop(writer);
    write(&folder.path().join("more"), &messages);
    std::fs::rename(folder.path().join("more/more_0.mcap"), folder.path().join("bag_1.mcap")).unwrap();
    std::fs::remove_dir_all(folder.path().join("more")).unwrap();
    assert_eq!(read(&*open_bag(folder.path()).unwrap()).0.len(), 201);
}
