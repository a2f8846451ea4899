//! Brings up the loopback interface of a network namespace: tests of many packages talk to a
//! server on 127.0.0.1, and the interface is down in a new namespace.

use std::io;
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

/// `RTM_NEWLINK` of linux/rtnetlink.h: changes an interface.
const NEW_LINK: u16 = 16;
/// `NLM_F_REQUEST | NLM_F_ACK` of linux/netlink.h.
const REQUEST_AND_ANSWER: u16 = 0x1 | 0x4;
/// `NLMSG_ERROR`, which is also the answer when all went well: error number 0.
const ERROR: u16 = 2;
/// The loopback interface has this number in every network namespace.
const LOOPBACK: i32 = 1;
/// `IFF_UP`.
const UP: u32 = 1;

/// A `struct nlmsghdr` and a `struct ifinfomsg`, as rtnetlink(7) lays them out.
fn message() -> [u8; 32] {
    let mut message = [0; 32];
    message[0..4].copy_from_slice(&32u32.to_ne_bytes());
    message[4..6].copy_from_slice(&NEW_LINK.to_ne_bytes());
    message[6..8].copy_from_slice(&REQUEST_AND_ANSWER.to_ne_bytes());
    message[8..12].copy_from_slice(&1u32.to_ne_bytes());
    // Bytes 12 to 16, the sender's port, and 16 to 20, the family and type, stay 0.
    message[20..24].copy_from_slice(&LOOPBACK.to_ne_bytes());
    message[24..28].copy_from_slice(&UP.to_ne_bytes());
    message[28..32].copy_from_slice(&UP.to_ne_bytes());
    message
}

/// Brings it up.
///
/// # Errors
///
/// When the kernel refuses.
pub fn bring_up() -> io::Result<()> {
    let netlink = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    send(netlink.as_raw_fd(), &message(), MsgFlags::empty())?;
    let mut answer = [0; 1024];
    let length = recv(netlink.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    let kind = answer[..length]
        .get(4..6)
        .map(|b| u16::from_ne_bytes([b[0], b[1]]));
    let number = answer[..length]
        .get(16..20)
        .map(|b| i32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
    match (kind, number) {
        (Some(ERROR), Some(0)) => Ok(()),
        (Some(ERROR), Some(number)) => Err(io::Error::from_raw_os_error(-number)),
        _ => Err(io::Error::other("the kernel's answer is not understood")),
    }
}
