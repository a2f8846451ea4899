-- Several workers may have one name, as on two folders of one host. Which of them an event is about is told by
-- its row; of older events it is known where only one has the name.
ALTER TABLE event ADD COLUMN worker_id INTEGER REFERENCES worker (id) ON DELETE SET NULL;
UPDATE event SET worker_id = (SELECT min(worker.id) FROM worker WHERE worker.name = event.worker HAVING count(*) = 1)
    WHERE worker IS NOT NULL;
